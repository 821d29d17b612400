import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
} from '@fluentui/react-components';
import { useMutation } from '@tanstack/react-query';
import { useEffect, useRef, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Problem } from './Problem';

export interface ConfirmDialogProps {
  title: string;
  children: ReactNode;
  confirmLabel: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
}

/** Asks before something is taken away. Focus begins on Cancel; a refusal is shown in the dialog. */
export function ConfirmDialog({
  title,
  children,
  confirmLabel,
  onConfirm,
  onClose,
}: ConfirmDialogProps) {
  const { t } = useTranslation();
  const cancel = useRef<HTMLButtonElement | null>(null);
  const confirm = useMutation({ mutationFn: onConfirm, onSuccess: onClose });
  useEffect(() => {
    cancel.current?.focus();
  }, []);
  return (
    <Dialog
      open
      modalType="alert"
      onOpenChange={() => {
        if (!confirm.isPending) onClose();
      }}
    >
      <DialogSurface>
        <DialogBody>
          <DialogTitle>{title}</DialogTitle>
          <DialogContent>
            {children}
            {confirm.error !== null && <Problem error={confirm.error} />}
          </DialogContent>
          <DialogActions>
            <Button
              ref={(button: HTMLButtonElement | null) => {
                cancel.current = button;
              }}
              disabledFocusable={confirm.isPending}
              onClick={onClose}
            >
              {t('common.cancel')}
            </Button>
            <Button
              appearance="primary"
              disabledFocusable={confirm.isPending}
              onClick={() => {
                if (!confirm.isPending) confirm.mutate();
              }}
            >
              {confirmLabel}
            </Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

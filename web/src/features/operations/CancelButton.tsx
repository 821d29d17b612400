import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { cancelOperation } from '../../api/commands';
import { isUnfinished } from '../../api/queries';
import type { Operation } from '../../api/types';
import { Problem } from '../../ui/Problem';
import { ReasonedButton } from '../../ui/ReasonedButton';
import { kindText, targetName } from './wording';

export interface CancelButtonProps {
  subscription: string;
  operation: Operation;
  size?: 'small' | 'medium';
}

export function CancelButton({ subscription, operation, size = 'medium' }: CancelButtonProps) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => cancelOperation(subscription, operation.name),
    onSettled: () => {
      void queryClient.invalidateQueries({ queryKey: ['operations'] });
      void queryClient.invalidateQueries({ queryKey: ['operation'] });
    },
  });
  if (!isUnfinished(operation)) return null;
  const requested = operation.properties?.cancelRequested === true || cancel.isPending;
  return (
    <>
      <ReasonedButton
        size={size}
        reason={requested ? t('operation.cancelAsked') : undefined}
        aria-label={t('operation.cancelNamed', {
          kind: kindText(t, operation),
          target: targetName(operation),
        })}
        onClick={() => {
          cancel.mutate();
        }}
      >
        {t('common.cancel')}
      </ReasonedButton>
      {cancel.error !== null && <Problem error={cancel.error} />}
    </>
  );
}

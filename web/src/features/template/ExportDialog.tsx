import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  Field,
  Input,
  makeStyles,
  MessageBar,
  MessageBarActions,
  MessageBarBody,
  tokens,
} from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { parseId } from '../../api/ids';
import { planImagesQuery } from '../../api/queries';
import { isImageName } from '../../ui/names';
import { Problem } from '../../ui/Problem';
import { ReasonedButton } from '../../ui/ReasonedButton';
import type { Template } from './TemplatePage';
import { useTemplateCommands } from './useTemplateCommands';

const useStyles = makeStyles({
  content: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalM,
    paddingBottom: tokens.spacingVerticalM,
  },
  text: { whiteSpace: 'normal' },
});

export interface ExportDialogProps {
  template: Template;
  onClose: () => void;
}

/** Asks for the image's name, nothing else. A running VM is exported as it is, or stopped first at the teacher's word. */
export function ExportDialog({ template, onClose }: ExportDialogProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const { lab, vm, account, operations } = template;
  const [name, setName] = useState('');
  const { stop, saveImage } = useTemplateCommands(lab);
  const images = useQuery({
    ...planImagesQuery(account?.id ?? ''),
    enabled: account !== undefined,
  });
  const existing = images.data?.find((each) => each.name.toLowerCase() === name.toLowerCase());
  const legal = isImageName(name);
  const state = vm?.properties.state;
  const stopping =
    stop.isPending || state === 'Stopping' || operations.running?.properties?.kind === 'StopVirtualMachine';
  const idle = operations.running === undefined;
  const stopped = state === 'Stopped' && idle;
  const runs = state === 'Running' && idle && !stopping;
  const reason = !legal
    ? t('template.enterName')
    : saveImage.isPending
      ? t('common.working')
      : !stopped && !runs
        ? t(stopping ? 'template.stopping' : 'template.changing')
        : undefined;
  const gallery = parseId(account?.properties.sharedGalleryId ?? '').name;

  return (
    <Dialog
      open
      onOpenChange={() => {
        if (!saveImage.isPending) onClose();
      }}
    >
      <DialogSurface>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (reason === undefined) saveImage.mutate(name, { onSuccess: onClose });
          }}
        >
          <DialogBody>
            <DialogTitle>{t('template.export')}</DialogTitle>
            <DialogContent className={styles.content}>
              <span>{t('template.exportIntro', { gallery })}</span>
              <Field
                label={t('template.imageName')}
                required
                validationState={name === '' ? 'none' : legal ? 'success' : 'error'}
                validationMessage={t('template.imageNameRule')}
              >
                <Input
                  value={name}
                  maxLength={80}
                  autoComplete="off"
                  placeholder={t('template.enterName')}
                  onChange={(_, { value }) => {
                    setName(value);
                  }}
                />
              </Field>
              {existing !== undefined && (
                <MessageBar intent="info" layout="multiline">
                  <MessageBarBody className={styles.text}>
                    {t('template.newVersion', {
                      image: existing.name,
                      version: existing.properties.version ?? '–',
                    })}
                  </MessageBarBody>
                </MessageBar>
              )}
              <span>{t('template.specialized')}</span>
              {!stopped && (
                <MessageBar intent="info" layout="multiline">
                  <MessageBarBody className={styles.text}>
                    {t(
                      stopping
                        ? 'template.stopping'
                        : runs
                          ? 'template.runs'
                          : 'template.changing',
                    )}
                  </MessageBarBody>
                  <MessageBarActions>
                    <ReasonedButton
                      reason={
                        stopping
                          ? t('template.stopping')
                          : runs
                            ? undefined
                            : t('template.changing')
                      }
                      onClick={() => {
                        stop.mutate();
                      }}
                    >
                      {t('template.stopVm')}
                    </ReasonedButton>
                  </MessageBarActions>
                </MessageBar>
              )}
              {(stop.error ?? saveImage.error) !== null && (
                <Problem error={stop.error ?? saveImage.error} />
              )}
            </DialogContent>
            <DialogActions>
              <Button disabled={saveImage.isPending} onClick={onClose}>
                {t('common.cancel')}
              </Button>
              <ReasonedButton appearance="primary" type="submit" reason={reason}>
                {t('template.exportButton')}
              </ReasonedButton>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}

import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  Field,
  makeStyles,
  Radio,
  RadioGroup,
  tokens,
} from '@fluentui/react-components';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { parseId } from '../../api/ids';
import { galleriesQuery, regionsQuery } from '../../api/queries';
import type { LabPlan } from '../../api/types';
import { Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { ReasonedButton } from '../../ui/ReasonedButton';
import { useAttach } from './useAttach';

const useStyles = makeStyles({
  content: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalM,
    paddingBottom: tokens.spacingVerticalM,
  },
  list: { maxHeight: '40vh', overflowY: 'auto' },
});

export interface AttachDialogProps {
  account: LabPlan;
  onClose: () => void;
}

export function AttachDialog({ account, onClose }: AttachDialogProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const { subscription } = parseId(account.id);
  const galleries = useQuery(galleriesQuery(subscription));
  const regions = useQuery(regionsQuery(subscription));
  const [chosen, setChosen] = useState<string>();
  const attach = useAttach(account.id);
  const attaching = useMutation({
    mutationFn: (id: string) => attach(id),
    onSuccess: onClose,
  });
  const regionName = (name: string | undefined) =>
    regions.data?.find((each) => each.name === name)?.displayName ?? name ?? '';
  const selected = chosen ?? galleries.data?.[0]?.id;
  return (
    <Dialog
      open
      onOpenChange={() => {
        if (!attaching.isPending) onClose();
      }}
    >
      <DialogSurface>
        <DialogBody>
          <DialogTitle>{t('gallery.attachExisting')}</DialogTitle>
          <DialogContent className={styles.content}>
            <span>{t('gallery.attachIntro', { account: account.name })}</span>
            {galleries.isPending && <Waiting />}
            {galleries.error !== null && galleries.data === undefined && (
              <Problem error={galleries.error} onRetry={() => void galleries.refetch()} />
            )}
            {galleries.data?.length === 0 && <span>{t('gallery.noGalleries')}</span>}
            {galleries.data !== undefined && galleries.data.length > 0 && (
              <Field label={t('gallery.pick')}>
                <RadioGroup
                  className={styles.list}
                  value={selected ?? ''}
                  onChange={(_, { value }) => {
                    setChosen(value);
                  }}
                >
                  {galleries.data.map((each) => (
                    <Radio
                      key={each.id}
                      value={each.id}
                      label={t('gallery.choice', {
                        gallery: each.name,
                        region: regionName(each.location),
                        group: parseId(each.id).group,
                      })}
                    />
                  ))}
                </RadioGroup>
              </Field>
            )}
            {attaching.error !== null && <Problem error={attaching.error} />}
          </DialogContent>
          <DialogActions>
            <Button disabled={attaching.isPending} onClick={onClose}>
              {t('common.cancel')}
            </Button>
            <ReasonedButton
              appearance="primary"
              reason={
                attaching.isPending
                  ? t('gallery.attaching')
                  : selected === undefined
                    ? t('gallery.noGalleries')
                    : undefined
              }
              onClick={() => {
                if (selected !== undefined) attaching.mutate(selected);
              }}
            >
              {t('gallery.attach')}
            </ReasonedButton>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

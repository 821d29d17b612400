import { useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { deleteLab } from '../../api/commands';
import type { Lab } from '../../api/types';
import { ConfirmDialog } from '../../ui/ConfirmDialog';
import { labTitle } from './lab';

export function DeleteLabDialog({ lab, onClose }: { lab: Lab; onClose: () => void }) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  return (
    <ConfirmDialog
      title={t('lab.deleteNamed', { lab: labTitle(lab) })}
      confirmLabel={t('common.delete')}
      onConfirm={async () => {
        await deleteLab(lab.id);
        await Promise.all(
          ['labs', 'operations'].map((key) => queryClient.invalidateQueries({ queryKey: [key] })),
        );
      }}
      onClose={onClose}
    >
      <p>{t('lab.deleteText')}</p>
      <p>{t('lab.deleteKeeps')}</p>
    </ConfirmDialog>
  );
}

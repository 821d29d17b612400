import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { isWithin, parseId } from '../../api/ids';
import { labsQuery } from '../../api/queries';
import type { LabPlan } from '../../api/types';
import { ConfirmDialog } from '../../ui/ConfirmDialog';
import { useAttach } from './useAttach';

export interface DetachDialogProps {
  account: LabPlan;
  galleryName: string;
  onClose: () => void;
}

export function DetachDialog({ account, galleryName, onClose }: DetachDialogProps) {
  const { t } = useTranslation();
  const attach = useAttach(account.id);
  const labs = useQuery(labsQuery(parseId(account.id).subscription));
  const galleryId = account.properties.sharedGalleryId ?? '';
  const using = (labs.data ?? []).filter((lab) =>
    isWithin(lab.properties.virtualMachineProfile?.imageReference?.id, galleryId),
  );
  return (
    <ConfirmDialog
      title={t('gallery.detachTitle', { gallery: galleryName })}
      confirmLabel={t('gallery.detach')}
      onConfirm={() => attach(null)}
      onClose={onClose}
    >
      <p>{t('gallery.detachText')}</p>
      {using.length > 0 && <p>{t('gallery.detachLabs', { count: using.length })}</p>}
    </ConfirmDialog>
  );
}

import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { createGallery } from '../../api/commands';
import { parseId } from '../../api/ids';
import { regionsQuery } from '../../api/queries';
import type { LabPlan } from '../../api/types';
import { NameDialog } from '../../ui/NameDialog';
import { isGalleryName } from '../../ui/names';
import { useAttach } from './useAttach';

export interface CreateGalleryDialogProps {
  account: LabPlan;
  onClose: () => void;
}

/** Creates a gallery beside the lab account and attaches it. */
export function CreateGalleryDialog({ account, onClose }: CreateGalleryDialogProps) {
  const { t } = useTranslation();
  const { subscription, group } = parseId(account.id);
  const regions = useQuery(regionsQuery(subscription));
  const attach = useAttach(account.id);
  if (regions.data === undefined) return null;
  return (
    <NameDialog
      title={t('gallery.createTitle')}
      intro={t('gallery.createIntro', { account: account.name })}
      nameLabel={t('gallery.name')}
      nameRule={t('gallery.nameRule')}
      isLegal={isGalleryName}
      regions={regions.data}
      firstRegion={account.location ?? regions.data[0]?.name ?? ''}
      onCreate={async (name, location) => {
        await attach(await createGallery({ subscription, group, name, location }));
      }}
      onClose={onClose}
    />
  );
}

import { Button } from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons/svg/add';
import { ImageRegular } from '@fluentui/react-icons/svg/image';
import { PlugConnectedRegular } from '@fluentui/react-icons/svg/plug-connected';
import { PlugDisconnectedRegular } from '@fluentui/react-icons/svg/plug-disconnected';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { parseId } from '../../api/ids';
import { labAccountQuery } from '../../api/queries';
import type { LabPlan } from '../../api/types';
import { useLabAccount } from '../../app/labAccount';
import { NoLabAccount } from '../labs/NoLabAccount';
import { EmptyState } from '../../ui/EmptyState';
import { Page, Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { AttachDialog } from './AttachDialog';
import { CreateGalleryDialog } from './CreateGalleryDialog';
import { DetachDialog } from './DetachDialog';
import { ImageTable } from './ImageTable';

type OpenDialog = 'attach' | 'create' | 'detach' | null;

export function GalleryPage() {
  const { t } = useTranslation();
  const { account } = useLabAccount();
  if (account === null) {
    return (
      <Page title={t('gallery.title')}>
        <NoLabAccount />
      </Page>
    );
  }
  return <AccountGallery key={account.id} accountId={account.id} />;
}

function AccountGallery({ accountId }: { accountId: string }) {
  const { t } = useTranslation();
  const { data: account, error, refetch } = useQuery(labAccountQuery(accountId));
  if (account === undefined) {
    return (
      <Page title={t('gallery.title')}>
        {error === null ? <Waiting /> : <Problem error={error} onRetry={() => void refetch()} />}
      </Page>
    );
  }
  return <GalleryOf account={account} />;
}

function GalleryOf({ account }: { account: LabPlan }) {
  const { t } = useTranslation();
  const [dialog, setDialog] = useState<OpenDialog>(null);
  const close = () => {
    setDialog(null);
  };
  const galleryId = account.properties.sharedGalleryId ?? '';
  const attached = galleryId !== '';
  const galleryName = parseId(galleryId).name;
  return (
    <Page
      title={t('gallery.title')}
      subtitle={
        attached
          ? t('gallery.attachedTo', { gallery: galleryName, account: account.name })
          : t('gallery.accountIs', { account: account.name })
      }
      actions={
        attached && (
          <Button
            icon={<PlugDisconnectedRegular />}
            onClick={() => {
              setDialog('detach');
            }}
          >
            {t('gallery.detach')}
          </Button>
        )
      }
    >
      {attached ? (
        <ImageTable accountId={account.id} />
      ) : (
        <EmptyState
          icon={<ImageRegular />}
          title={t('gallery.noneTitle')}
          text={t('gallery.noneText')}
        >
          <Button
            appearance="primary"
            icon={<PlugConnectedRegular />}
            onClick={() => {
              setDialog('attach');
            }}
          >
            {t('gallery.attachExisting')}
          </Button>
          <Button
            icon={<AddRegular />}
            onClick={() => {
              setDialog('create');
            }}
          >
            {t('gallery.create')}
          </Button>
        </EmptyState>
      )}
      {dialog === 'attach' && <AttachDialog account={account} onClose={close} />}
      {dialog === 'create' && <CreateGalleryDialog account={account} onClose={close} />}
      {dialog === 'detach' && (
        <DetachDialog account={account} galleryName={galleryName} onClose={close} />
      )}
    </Page>
  );
}

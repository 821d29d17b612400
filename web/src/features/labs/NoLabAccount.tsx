import { Button } from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons/svg/add';
import { BeakerRegular } from '@fluentui/react-icons/svg/beaker';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { createLabAccount } from '../../api/commands';
import { regionsQuery } from '../../api/queries';
import { useLabAccount } from '../../app/labAccount';
import { EmptyState } from '../../ui/EmptyState';
import { NameDialog } from '../../ui/NameDialog';
import { isResourceName } from '../../ui/names';

/** Shown where a lab account is needed and none exists: offers to create the first. */
export function NoLabAccount() {
  const { t } = useTranslation();
  const { subscription } = useLabAccount();
  const queryClient = useQueryClient();
  const regions = useQuery(regionsQuery(subscription));
  const [open, setOpen] = useState(false);
  return (
    <EmptyState
      icon={<BeakerRegular />}
      title={t('labAccount.noneTitle')}
      text={t('labAccount.noneText')}
    >
      <Button
        appearance="primary"
        icon={<AddRegular />}
        onClick={() => {
          setOpen(true);
        }}
      >
        {t('labAccount.create')}
      </Button>
      {open && regions.data !== undefined && (
        <NameDialog
          title={t('labAccount.create')}
          intro={t('labAccount.createIntro')}
          nameLabel={t('common.name')}
          nameRule={t('labAccount.nameRule')}
          isLegal={isResourceName}
          regions={regions.data}
          firstRegion={regions.data[0]?.name ?? ''}
          onCreate={async (name, location) => {
            await createLabAccount({ subscription, group: `${name}-rg`, name, location });
            await queryClient.invalidateQueries({ queryKey: ['labAccounts'] });
          }}
          onClose={() => {
            setOpen(false);
          }}
        />
      )}
    </EmptyState>
  );
}

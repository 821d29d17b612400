import {
  Badge,
  Button,
  makeStyles,
  ProgressBar,
  SearchBox,
  Subtitle2,
  Text,
  tokens,
  Tooltip,
} from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons/svg/add';
import { BeakerRegular } from '@fluentui/react-icons/svg/beaker';
import { DeleteRegular } from '@fluentui/react-icons/svg/delete';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { sameId } from '../../api/ids';
import { labsQuery, regionsQuery } from '../../api/queries';
import type { Lab } from '../../api/types';
import { useLabAccount } from '../../app/labAccount';
import { formatPercent } from '../../i18n/format';
import { matches } from '../../i18n/search';
import { EmptyState } from '../../ui/EmptyState';
import { LinkButton } from '../../ui/LinkButton';
import { Page, Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { TextLink } from '../../ui/TextLink';
import { kindText } from '../operations/wording';
import { labOperations, useOperations } from '../operations/useOperations';
import { DeleteLabDialog } from './DeleteLabDialog';
import { labImage, labTitle, templatePath } from './lab';
import { NoLabAccount } from './NoLabAccount';

const useStyles = makeStyles({
  search: { width: '100%', maxWidth: '320px' },
  tiles: {
    listStyleType: 'none',
    margin: 0,
    padding: 0,
    display: 'grid',
    gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 300px), 1fr))',
    gap: tokens.spacingHorizontalL,
  },
  tile: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalS,
    padding: tokens.spacingHorizontalL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusLarge,
    minWidth: 0,
  },
  head: {
    display: 'flex',
    alignItems: 'start',
    justifyContent: 'space-between',
    gap: tokens.spacingHorizontalS,
  },
  title: { margin: 0, overflowWrap: 'anywhere', minWidth: 0 },
  facts: {
    display: 'grid',
    gridTemplateColumns: 'max-content minmax(0, 1fr)',
    gap: `${tokens.spacingVerticalXXS} ${tokens.spacingHorizontalM}`,
    margin: 0,
  },
  term: { color: tokens.colorNeutralForeground2 },
  value: { margin: 0, overflowWrap: 'anywhere' },
  bottom: { marginTop: 'auto' },
});

export function LabsPage() {
  const { t } = useTranslation();
  const styles = useStyles();
  const { subscription, account } = useLabAccount();
  const labs = useQuery(labsQuery(subscription));
  const [needle, setNeedle] = useState('');
  const [deleting, setDeleting] = useState<Lab | null>(null);
  if (account === null) {
    return (
      <Page title={t('nav.labs')}>
        <NoLabAccount />
      </Page>
    );
  }
  const mine = (labs.data ?? []).filter(
    (lab) => lab.properties.labPlanId == null || sameId(lab.properties.labPlanId, account.id),
  );
  const shown = mine.filter((lab) => matches(needle, labTitle(lab), lab.name, labImage(lab)));
  return (
    <Page
      title={t('nav.labs')}
      subtitle={t('gallery.accountIs', { account: account.name })}
      actions={
        mine.length > 0 && (
          <LinkButton to="/labs/new" appearance="primary" icon={<AddRegular />}>
            {t('lab.new')}
          </LinkButton>
        )
      }
    >
      {labs.data === undefined && labs.error !== null && (
        <Problem error={labs.error} onRetry={() => void labs.refetch()} />
      )}
      {labs.isPending && <Waiting />}
      {labs.data !== undefined && mine.length === 0 && (
        <EmptyState icon={<BeakerRegular />} title={t('lab.emptyTitle')} text={t('lab.emptyText')}>
          <LinkButton to="/labs/new" appearance="primary" icon={<AddRegular />}>
            {t('lab.new')}
          </LinkButton>
        </EmptyState>
      )}
      {mine.length > 0 && (
        <>
          <SearchBox
            className={styles.search}
            aria-label={t('lab.search')}
            placeholder={t('lab.search')}
            value={needle}
            onChange={(_, { value }) => {
              setNeedle(value);
            }}
          />
          {shown.length === 0 && <Text role="status">{t('lab.noneMatch')}</Text>}
          <ul className={styles.tiles}>
            {shown.map((lab) => (
              <LabTile
                key={lab.id}
                lab={lab}
                onDelete={() => {
                  setDeleting(lab);
                }}
              />
            ))}
          </ul>
        </>
      )}
      {deleting !== null && (
        <DeleteLabDialog
          lab={deleting}
          onClose={() => {
            setDeleting(null);
          }}
        />
      )}
    </Page>
  );
}

function LabTile({ lab, onDelete }: { lab: Lab; onDelete: () => void }) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  const { subscription } = useLabAccount();
  const { running } = labOperations(useOperations(subscription), lab.id);
  const regions = useQuery(regionsQuery(subscription));
  const region = regions.data?.find((each) => each.name === lab.location)?.displayName;
  const state = lab.properties.provisioningState;
  const title = labTitle(lab);
  return (
    <li className={styles.tile}>
      <div className={styles.head}>
        <Subtitle2 as="h2" className={styles.title}>
          <TextLink to={templatePath(lab.id)}>{title}</TextLink>
        </Subtitle2>
        <Tooltip content={t('lab.deleteNamed', { lab: title })} relationship="label">
          <Button appearance="subtle" size="small" icon={<DeleteRegular />} onClick={onDelete} />
        </Tooltip>
      </div>
      <div>
        <Badge
          appearance="tint"
          color={
            state === 'Failed' ? 'danger' : state === 'Succeeded' ? 'informative' : 'brand'
          }
        >
          {state === undefined || state === 'Succeeded'
            ? t(`lab.state.${lab.properties.state ?? 'Draft'}`)
            : t(`lab.provisioning.${state}`)}
        </Badge>
      </div>
      <dl className={styles.facts}>
        <dt className={styles.term}>{t('lab.image')}</dt>
        <dd className={styles.value}>{labImage(lab) || '–'}</dd>
        <dt className={styles.term}>{t('common.region')}</dt>
        <dd className={styles.value}>{region ?? lab.location ?? '–'}</dd>
      </dl>
      {running !== undefined && (
        <div className={styles.bottom}>
          <Text size={200}>
            {t('operation.withPercent', {
              kind: kindText(t, running),
              percent: formatPercent(
                Math.min(99.9, running.percentComplete ?? 0),
                i18n.language,
              ),
            })}
          </Text>
          <ProgressBar value={(running.percentComplete ?? 0) / 100} aria-hidden />
        </div>
      )}
    </li>
  );
}

import {
  Badge,
  Button,
  makeStyles,
  Subtitle2,
  tokens,
  Tooltip,
  type BadgeProps,
} from '@fluentui/react-components';
import { CopyRegular } from '@fluentui/react-icons/svg/copy';
import { useQuery } from '@tanstack/react-query';
import { Fragment, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { parseId } from '../../api/ids';
import { regionsQuery } from '../../api/queries';
import type { Lab, VirtualMachine, VmState } from '../../api/types';
import { labImage } from '../labs/lab';
import { useSizeText } from '../labs/SizeText';
import type { Template } from './TemplatePage';

const useStyles = makeStyles({
  panel: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalM,
    padding: tokens.spacingHorizontalL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusLarge,
  },
  title: { margin: 0 },
  facts: {
    display: 'grid',
    gridTemplateColumns: 'minmax(90px, max-content) minmax(0, 1fr)',
    gap: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalXL}`,
    margin: 0,
    alignItems: 'center',
  },
  term: { color: tokens.colorNeutralForeground2 },
  value: { margin: 0, overflowWrap: 'anywhere' },
  command: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: tokens.spacingHorizontalS,
  },
  code: {
    fontFamily: tokens.fontFamilyMonospace,
    padding: `${tokens.spacingVerticalXXS} ${tokens.spacingHorizontalS}`,
    backgroundColor: tokens.colorNeutralBackground3,
    borderRadius: tokens.borderRadiusMedium,
    overflowWrap: 'anywhere',
  },
});

const kColors: Partial<Record<VmState, NonNullable<BadgeProps['color']>>> = {
  Running: 'success',
  Stopped: 'informative',
};

/** The template VM: its state, how to reach it, what it was made from. */
export function MachinePanel({ template: { lab, vm } }: { template: Template }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const sizeText = useSizeText();
  const { subscription } = parseId(lab.id);
  const regions = useQuery(regionsQuery(subscription));
  const profile = lab.properties.virtualMachineProfile;
  const region = regions.data?.find((each) => each.name === lab.location)?.displayName;
  const facts: [string, ReactNode][] = [
    [t('template.vmState'), <VmBadge key="state" vm={vm} />],
    [t('template.connection'), <Connection key="connection" lab={lab} vm={vm} />],
    [t('lab.image'), labImage(lab) || '–'],
    [t('lab.size'), profile?.sku === undefined ? '–' : sizeText(profile.sku.name)],
    [t('common.region'), region ?? lab.location ?? '–'],
    [t('lab.resourceName'), lab.name],
  ];
  return (
    <section className={styles.panel} aria-label={t('template.vm')}>
      <Subtitle2 as="h2" className={styles.title}>
        {t('template.vm')}
      </Subtitle2>
      <dl className={styles.facts}>
        {facts.map(([term, value]) => (
          <Fragment key={term}>
            <dt className={styles.term}>{term}</dt>
            <dd className={styles.value}>{value}</dd>
          </Fragment>
        ))}
      </dl>
    </section>
  );
}

function VmBadge({ vm }: { vm: VirtualMachine | null }) {
  const { t } = useTranslation();
  const state = vm?.properties.state;
  return (
    <Badge
      appearance="tint"
      size="large"
      color={state === undefined ? 'informative' : (kColors[state] ?? 'brand')}
      data-testid="vm-state"
      data-state={state ?? 'None'}
    >
      {state === undefined ? t('template.state.None') : t(`template.state.${state}`)}
    </Badge>
  );
}

/** host:port as an ssh command. */
function sshCommand(authority: string, user: string): string {
  const at = authority.lastIndexOf(':');
  const host = at === -1 ? authority : authority.slice(0, at);
  const port = at === -1 ? '22' : authority.slice(at + 1);
  return `ssh -p ${port} ${user}@${host}`;
}

function Connection({ lab, vm }: { lab: Lab; vm: VirtualMachine | null }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const [copied, setCopied] = useState(false);
  const { sshAuthority = '', adminUsername } = vm?.properties.connectionProfile ?? {};
  if (vm?.properties.state !== 'Running' || sshAuthority === '') {
    return <span>{t('template.notReachable')}</span>;
  }
  const user = adminUsername ?? lab.properties.virtualMachineProfile?.adminUser?.username ?? '';
  const command = sshCommand(sshAuthority, user);
  return (
    <span className={styles.command}>
      <code className={styles.code}>{command}</code>
      <Tooltip content={t(copied ? 'common.copied' : 'template.copySsh')} relationship="label">
        <Button
          size="small"
          appearance="subtle"
          icon={<CopyRegular />}
          onClick={() => {
            void navigator.clipboard.writeText(command).then(() => {
              setCopied(true);
            });
          }}
        />
      </Tooltip>
    </span>
  );
}

import {
  Button,
  makeStyles,
  MessageBar,
  MessageBarBody,
  MessageBarTitle,
  tokens,
} from '@fluentui/react-components';
import { CopyRegular } from '@fluentui/react-icons/svg/copy';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useParams } from 'react-router';
import { isUnfinished, operationQuery } from '../../api/queries';
import type { Operation } from '../../api/types';
import { useLabAccount } from '../../app/labAccount';
import { elapsedSeconds, formatDuration, formatTime } from '../../i18n/format';
import { Page, Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { TextLink } from '../../ui/TextLink';
import { useServerClock } from '../../ui/useServerClock';
import { CancelButton } from './CancelButton';
import { ProgressDetails } from './ProgressDetails';
import { StatusBadge } from './StatusBadge';
import { kindText, targetName } from './wording';

const useStyles = makeStyles({
  card: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalL,
    padding: tokens.spacingHorizontalXL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusLarge,
  },
  facts: {
    display: 'grid',
    gridTemplateColumns: 'minmax(120px, max-content) minmax(0, 1fr)',
    gap: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalL}`,
    margin: 0,
  },
  term: { color: tokens.colorNeutralForeground2 },
  value: { margin: 0, overflowWrap: 'anywhere' },
  body: { whiteSpace: 'normal', overflowWrap: 'anywhere' },
  row: { display: 'flex', gap: tokens.spacingHorizontalS, flexWrap: 'wrap' },
});

function CopyButton({ operation }: { operation: Operation }) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  return (
    <Button
      icon={<CopyRegular />}
      onClick={() => {
        void navigator.clipboard.writeText(JSON.stringify(operation, null, 2)).then(() => {
          setCopied(true);
        });
      }}
    >
      {copied ? t('common.copied') : t('operation.copy')}
    </Button>
  );
}

export function OperationPage() {
  const { t } = useTranslation();
  const { subscription } = useLabAccount();
  const { operation: name = '' } = useParams();
  const { data: operation, error, refetch } = useQuery(operationQuery(subscription, name));
  if (operation === undefined) {
    return (
      <Page
        title={t('operation.one')}
        breadcrumb={<TextLink to="/operations">{t('nav.operations')}</TextLink>}
      >
        {error === null ? <Waiting /> : <Problem error={error} onRetry={() => void refetch()} />}
      </Page>
    );
  }
  return <Details operation={operation} subscription={subscription} />;
}

function Details({ operation, subscription }: { operation: Operation; subscription: string }) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  const now = useServerClock(isUnfinished(operation));
  const seconds = elapsedSeconds(operation.startTime, operation.endTime, now);
  const properties = operation.properties ?? {};
  const facts: [string, string][] = [
    [t('operation.target'), properties.targetId ?? '–'],
    [t('operation.by'), properties.createdBy ?? '–'],
    [t('operation.started'), formatTime(operation.startTime, i18n.language)],
    [t('operation.duration'), seconds === undefined ? '–' : formatDuration(seconds)],
    [t('operation.id'), operation.name],
  ];
  if (properties.resourceId !== undefined && properties.resourceId !== '')
    facts.splice(1, 0, [t('operation.resource'), properties.resourceId]);
  return (
    <Page
      title={t('operation.named', { kind: kindText(t, operation), target: targetName(operation) })}
      breadcrumb={<TextLink to="/operations">{t('nav.operations')}</TextLink>}
      actions={
        <>
          <CopyButton operation={operation} />
          <CancelButton subscription={subscription} operation={operation} />
        </>
      }
    >
      <div className={styles.card}>
        <div className={styles.row}>
          <StatusBadge status={operation.status} />
        </div>
        <ProgressDetails operation={operation} />
        {operation.error !== undefined && (
          <MessageBar intent="error" layout="multiline">
            <MessageBarBody className={styles.body}>
              <MessageBarTitle>{operation.error.code}</MessageBarTitle>
              {operation.error.message}
            </MessageBarBody>
          </MessageBar>
        )}
        <dl className={styles.facts}>
          {facts.map(([term, value]) => (
            <Fact key={term} term={term} value={value} />
          ))}
        </dl>
      </div>
    </Page>
  );
}

function Fact({ term, value }: { term: string; value: string }) {
  const styles = useStyles();
  return (
    <>
      <dt className={styles.term}>{term}</dt>
      <dd className={styles.value}>{value}</dd>
    </>
  );
}

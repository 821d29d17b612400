import {
  Button,
  Field,
  makeStyles,
  Select,
  Table,
  TableBody,
  TableCell,
  TableHeader,
  TableHeaderCell,
  TableRow,
  tokens,
} from '@fluentui/react-components';
import { TaskListLtrRegular } from '@fluentui/react-icons/svg/task-list-ltr';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { isUnfinished, moreOperations, operationsQuery } from '../../api/queries';
import type { Operation } from '../../api/types';
import { useLabAccount } from '../../app/labAccount';
import { elapsedSeconds, formatDuration, formatPercent, formatTime } from '../../i18n/format';
import { EmptyState } from '../../ui/EmptyState';
import { Page, Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { TableFrame } from '../../ui/TableFrame';
import { TextLink } from '../../ui/TextLink';
import { useServerClock } from '../../ui/useServerClock';
import { CancelButton } from './CancelButton';
import { StatusBadge } from './StatusBadge';
import { kindText, targetName } from './wording';

type Filter = 'all' | 'running' | 'failed';

const useStyles = makeStyles({
  filter: { maxWidth: '240px' },
  table: { minWidth: '920px' },
  numbers: { fontVariantNumeric: 'tabular-nums' },
  wrap: { overflowWrap: 'anywhere', paddingBlock: tokens.spacingVerticalXS },
  time: { width: '150px' },
  kind: { width: '22%' },
  narrow: { width: '88px' },
  more: { display: 'flex', justifyContent: 'center' },
});

interface RowProps {
  operation: Operation;
  subscription: string;
  now: number;
}

function Row({ operation, subscription, now }: RowProps) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  const seconds = elapsedSeconds(operation.startTime, operation.endTime, now);
  const percent = operation.percentComplete ?? (operation.status === 'Succeeded' ? 100 : 0);
  return (
    <TableRow>
      <TableCell className={styles.wrap}>
        <TextLink to={`/operations/${operation.name}`}>{kindText(t, operation)}</TextLink>
      </TableCell>
      <TableCell className={styles.wrap}>{targetName(operation)}</TableCell>
      <TableCell>{operation.properties?.createdBy ?? '–'}</TableCell>
      <TableCell>{formatTime(operation.startTime, i18n.language)}</TableCell>
      <TableCell className={styles.numbers}>
        {seconds === undefined ? '–' : formatDuration(seconds)}
      </TableCell>
      <TableCell className={styles.numbers}>{formatPercent(percent, i18n.language)}</TableCell>
      <TableCell>
        <StatusBadge status={operation.status} />
      </TableCell>
      <TableCell>
        <CancelButton subscription={subscription} operation={operation} size="small" />
      </TableCell>
    </TableRow>
  );
}

export function OperationsPage() {
  const { t } = useTranslation();
  const styles = useStyles();
  const { subscription } = useLabAccount();
  const newest = useQuery(operationsQuery(subscription));
  const [older, setOlder] = useState<Operation[]>([]);
  const [nextLink, setNextLink] = useState<string | null | undefined>();
  const [filter, setFilter] = useState<Filter>('all');
  const more = useMutation({
    mutationFn: (link: string) => moreOperations(subscription, link),
    onSuccess: (page) => {
      setOlder((before) => [...before, ...page.value]);
      setNextLink(page.nextLink ?? null);
    },
  });
  const fresh = newest.data?.value ?? [];
  const known = new Set(fresh.map((each) => each.name));
  const all = [...fresh, ...older.filter((each) => !known.has(each.name))];
  const now = useServerClock(all.some(isUnfinished));
  const shown = all.filter(
    (each) =>
      filter === 'all' || (filter === 'running' ? isUnfinished(each) : each.status === 'Failed'),
  );
  const link = nextLink === undefined ? newest.data?.nextLink : nextLink;

  return (
    <Page title={t('nav.operations')} subtitle={t('operation.intro')}>
      {newest.error !== null && newest.data === undefined && (
        <Problem error={newest.error} onRetry={() => void newest.refetch()} />
      )}
      {newest.isPending && <Waiting />}
      {newest.data !== undefined && all.length === 0 && (
        <EmptyState
          icon={<TaskListLtrRegular />}
          title={t('operation.emptyTitle')}
          text={t('operation.emptyText')}
        />
      )}
      {all.length > 0 && (
        <>
          <Field label={t('common.show')} className={styles.filter}>
            <Select
              value={filter}
              onChange={(_, { value }) => {
                setFilter(value as Filter);
              }}
            >
              <option value="all">{t('operation.filter.all')}</option>
              <option value="running">{t('operation.filter.running')}</option>
              <option value="failed">{t('operation.filter.failed')}</option>
            </Select>
          </Field>
          <TableFrame label={t('nav.operations')}>
            <Table className={styles.table} aria-label={t('nav.operations')}>
              <TableHeader>
                <TableRow>
                  <TableHeaderCell className={styles.kind}>{t('operation.kind')}</TableHeaderCell>
                  <TableHeaderCell>{t('operation.target')}</TableHeaderCell>
                  <TableHeaderCell>{t('operation.by')}</TableHeaderCell>
                  <TableHeaderCell className={styles.time}>{t('operation.started')}</TableHeaderCell>
                  <TableHeaderCell className={styles.narrow}>
                    {t('operation.duration')}
                  </TableHeaderCell>
                  <TableHeaderCell className={styles.narrow}>
                    {t('progress.percent')}
                  </TableHeaderCell>
                  <TableHeaderCell>{t('operation.result')}</TableHeaderCell>
                  <TableHeaderCell>{t('common.actions')}</TableHeaderCell>
                </TableRow>
              </TableHeader>
              <TableBody>
                {shown.map((each) => (
                  <Row key={each.name} operation={each} subscription={subscription} now={now} />
                ))}
              </TableBody>
            </Table>
          </TableFrame>
          {shown.length === 0 && <span role="status">{t('operation.noneMatch')}</span>}
          {more.error !== null && <Problem error={more.error} />}
          {link != null && link !== '' && (
            <div className={styles.more}>
              <Button
                disabledFocusable={more.isPending}
                onClick={() => {
                  more.mutate(link);
                }}
              >
                {t('operation.older')}
              </Button>
            </div>
          )}
        </>
      )}
    </Page>
  );
}

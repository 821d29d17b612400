import { makeStyles, ProgressBar, Text, tokens } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { isUnfinished, operationsQuery } from '../../api/queries';
import type { Operation } from '../../api/types';
import { formatDuration, formatPercent, formatRate } from '../../i18n/format';
import { TextLink } from '../../ui/TextLink';
import { useOperations } from './useOperations';
import { useOperationWatch } from './useOperationWatch';
import { kindText, phaseText, targetName } from './wording';

const kShown = 3;

const useStyles = makeStyles({
  bar: {
    gridArea: 'bar',
    position: 'sticky',
    bottom: 0,
    zIndex: 2,
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalXL}`,
    padding: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalL}`,
    minHeight: '32px',
    backgroundColor: tokens.colorNeutralBackground1,
    borderTop: `1px solid ${tokens.colorNeutralStroke2}`,
  },
  list: {
    listStyleType: 'none',
    margin: 0,
    padding: 0,
    display: 'flex',
    flexWrap: 'wrap',
    gap: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalXL}`,
  },
  item: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: tokens.spacingHorizontalS,
    fontVariantNumeric: 'tabular-nums',
  },
  progress: { width: '80px' },
  quiet: { color: tokens.colorNeutralForeground2 },
  lost: { color: tokens.colorPaletteRedForeground1 },
});

function BarItem({ operation }: { operation: Operation }) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  const percent = Math.min(99.9, operation.percentComplete ?? 0);
  const { bytesPerSecond = 0, etaSeconds } = operation.properties?.progress ?? {};
  return (
    <li className={styles.item}>
      <TextLink to={`/operations/${operation.name}`}>
        {t('operation.named', { kind: kindText(t, operation), target: targetName(operation) })}
      </TextLink>
      <ProgressBar className={styles.progress} value={percent / 100} aria-hidden />
      <span>{formatPercent(percent, i18n.language)}</span>
      <span className={styles.quiet}>{phaseText(t, operation)}</span>
      {bytesPerSecond > 0 && <span>{formatRate(bytesPerSecond)}</span>}
      {etaSeconds != null && (
        <span>{t('progress.etaShort', { time: formatDuration(etaSeconds) })}</span>
      )}
    </li>
  );
}

/** At the bottom of every page: what the server is working on. */
export function OperationBar({ subscription }: { subscription: string }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const { error } = useQuery(operationsQuery(subscription));
  const operations = useOperations(subscription);
  useOperationWatch(operations);
  const running = operations.filter(isUnfinished);
  const lost = error instanceof ApiError && error.status === 0;
  return (
    <aside className={styles.bar} aria-label={t('operation.barLabel')}>
      {lost ? (
        <Text role="alert" className={styles.lost}>
          {t('problem.reconnecting')}
        </Text>
      ) : (
        <Text className={running.length === 0 ? styles.quiet : undefined}>
          {running.length === 0
            ? t('operation.noneRunning')
            : t('operation.running', { count: running.length })}
        </Text>
      )}
      {running.length > 0 && (
        <ul className={styles.list}>
          {running.slice(0, kShown).map((each) => (
            <BarItem key={each.name} operation={each} />
          ))}
        </ul>
      )}
      {running.length > kShown && (
        <TextLink to="/operations">{t('operation.showAll')}</TextLink>
      )}
    </aside>
  );
}

import { makeStyles, ProgressBar, tokens } from '@fluentui/react-components';
import { useTranslation } from 'react-i18next';
import { isUnfinished } from '../../api/queries';
import type { Operation } from '../../api/types';
import { formatBytes, formatDuration, formatPercent, formatRate } from '../../i18n/format';
import { useServerClock } from '../../ui/useServerClock';
import { kindText, phaseText } from './wording';

const useStyles = makeStyles({
  box: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalS },
  facts: {
    display: 'grid',
    gridTemplateColumns: 'repeat(auto-fill, minmax(150px, 1fr))',
    gap: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalL}`,
    margin: 0,
  },
  term: { color: tokens.colorNeutralForeground2, fontSize: tokens.fontSizeBase200 },
  value: { margin: 0, fontVariantNumeric: 'tabular-nums' },
  hidden: {
    position: 'absolute',
    width: '1px',
    height: '1px',
    overflow: 'hidden',
    clipPath: 'inset(50%)',
    whiteSpace: 'nowrap',
  },
});

/** Everything the server says about how far an operation is. */
export function ProgressDetails({ operation }: { operation: Operation }) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  const running = isUnfinished(operation);
  const now = useServerClock(running);
  const language = i18n.language;
  const progress = operation.properties?.progress ?? {};
  const percent = operation.percentComplete ?? (operation.status === 'Succeeded' ? 100 : 0);
  // Until the server knows how much there is to do, the bar only says that something goes on.
  const unknown = running && percent === 0;
  const shownPercent = formatPercent(running ? Math.min(percent, 99.9) : percent, language);
  const updated = Date.parse(progress.updatedAt ?? '');
  const total = progress.bytesTotal ?? 0;

  const facts: [string, string][] = [];
  const add = (term: string, value: string) => facts.push([term, value]);
  if (running) add(t('progress.phase'), phaseText(t, operation));
  add(t('progress.percent'), shownPercent);
  if (total > 0) {
    add(
      t('progress.bytes'),
      t('progress.bytesOf', {
        done: formatBytes(progress.bytesDone ?? 0, language),
        total: formatBytes(total, language),
      }),
    );
    add(t('progress.newBytes'), formatBytes(progress.newBytes ?? 0, language));
    add(t('progress.knownBytes'), formatBytes(progress.knownBytes ?? 0, language));
  }
  if (running && total > 0) {
    add(t('progress.rate'), formatRate(progress.bytesPerSecond ?? 0));
    add(
      t('progress.eta'),
      progress.etaSeconds == null ? t('progress.unknown') : formatDuration(progress.etaSeconds),
    );
  }
  if (running && !Number.isNaN(updated)) {
    const seconds = Math.max(0, Math.round((now - updated) / 1000));
    add(t('progress.last'), t('progress.secondsAgo', { count: seconds }));
  }

  return (
    <div className={styles.box}>
      <ProgressBar
        {...(unknown ? {} : { value: Math.min(1, Math.max(0, percent / 100)) })}
        thickness="large"
        color={operation.status === 'Failed' ? 'error' : 'brand'}
        aria-label={t('progress.label', { kind: kindText(t, operation) })}
        {...(unknown ? {} : { 'aria-valuetext': shownPercent })}
      />
      <dl className={styles.facts}>
        {facts.map(([term, value]) => (
          <div key={term}>
            <dt className={styles.term}>{term}</dt>
            <dd className={styles.value}>{value}</dd>
          </div>
        ))}
      </dl>
      {/* Said aloud at most every ten percent. */}
      <span role="status" className={styles.hidden}>
        {running
          ? t('progress.announce', {
              kind: kindText(t, operation),
              percent: formatPercent(Math.floor(percent / 10) * 10, language),
            })
          : ''}
      </span>
    </div>
  );
}

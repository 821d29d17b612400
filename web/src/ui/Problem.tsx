import {
  Button,
  makeStyles,
  MessageBar,
  MessageBarActions,
  MessageBarBody,
  MessageBarTitle,
  tokens,
} from '@fluentui/react-components';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../api/client';

const useStyles = makeStyles({
  bar: { alignItems: 'start', paddingBlock: tokens.spacingVerticalS },
  body: { whiteSpace: 'normal', overflowWrap: 'anywhere' },
  detail: {
    display: 'block',
    fontSize: tokens.fontSizeBase200,
    color: tokens.colorNeutralForeground2,
  },
});

export interface ProblemProps {
  error: unknown;
  onRetry?: (() => void) | undefined;
}

/** What the server refused, in its own words, with the code and the id to give to support. */
export function Problem({ error, onRetry }: ProblemProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const api = error instanceof ApiError ? error : null;
  const message =
    api?.code === 'Unreachable' ? t('problem.unreachable') : (api?.message ?? String(error));
  return (
    <MessageBar intent="error" className={styles.bar} layout="multiline" role="alert">
      <MessageBarBody className={styles.body}>
        <MessageBarTitle>{t('problem.title')}</MessageBarTitle>
        {message}
        {api !== null && api.code !== 'Unreachable' && (
          <span className={styles.detail}>{t('problem.code', { code: api.code })}</span>
        )}
        {api?.correlationId !== undefined && (
          <span className={styles.detail}>
            {t('problem.correlation', { id: api.correlationId })}
          </span>
        )}
      </MessageBarBody>
      {onRetry !== undefined && (
        <MessageBarActions>
          <Button size="small" onClick={onRetry}>
            {t('common.retry')}
          </Button>
        </MessageBarActions>
      )}
    </MessageBar>
  );
}

import {
  makeStyles,
  MessageBar,
  MessageBarActions,
  MessageBarBody,
  MessageBarTitle,
  Subtitle2,
  tokens,
} from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons/svg/add';
import { useTranslation } from 'react-i18next';
import type { Operation } from '../../api/types';
import { formatTime } from '../../i18n/format';
import { LinkButton } from '../../ui/LinkButton';
import { TextLink } from '../../ui/TextLink';
import { CancelButton } from '../operations/CancelButton';
import { ProgressDetails } from '../operations/ProgressDetails';
import { exportedImage, kindText } from '../operations/wording';

const useStyles = makeStyles({
  panel: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalM,
    padding: tokens.spacingHorizontalL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorBrandStroke1}`,
    borderRadius: tokens.borderRadiusLarge,
  },
  head: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    justifyContent: 'space-between',
    gap: tokens.spacingHorizontalM,
  },
  title: { margin: 0 },
  actions: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: tokens.spacingHorizontalM,
  },
  body: { whiteSpace: 'normal', overflowWrap: 'anywhere' },
  detail: { display: 'block', color: tokens.colorNeutralForeground2 },
});

export interface RunningPanelProps {
  operation: Operation;
  subscription: string;
}

/** What the server is doing with this template now. It knows; this page only shows it. */
export function RunningPanel({ operation, subscription }: RunningPanelProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const title =
    operation.properties?.kind === 'ExportImage'
      ? t('template.exportInProgress')
      : kindText(t, operation);
  return (
    <section className={styles.panel} aria-label={title} data-testid="running-operation">
      <div className={styles.head}>
        <Subtitle2 as="h2" className={styles.title}>
          {title}
        </Subtitle2>
        <div className={styles.actions}>
          <TextLink to={`/operations/${operation.name}`}>{t('operation.details')}</TextLink>
          <CancelButton subscription={subscription} operation={operation} />
        </div>
      </div>
      <ProgressDetails operation={operation} />
    </section>
  );
}

/** How the newest export ended. */
export function LastExport({ operation }: { operation: Operation }) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  const ended = formatTime(operation.endTime, i18n.language);
  if (operation.status === 'Failed') return <FailedNotice operation={operation} />;
  if (operation.status !== 'Succeeded') {
    return (
      <MessageBar intent="info" layout="multiline">
        <MessageBarBody className={styles.body}>
          {t('template.exportCanceled')}
          <span className={styles.detail}>{ended}</span>
        </MessageBarBody>
      </MessageBar>
    );
  }
  const image = exportedImage(operation);
  const consistency = operation.properties?.consistencyMode;
  return (
    <MessageBar intent="success" layout="multiline" data-testid="export-completed">
      <MessageBarBody className={styles.body}>
        <MessageBarTitle>{t('template.exportCompleted')}</MessageBarTitle>
        {image !== null && t('template.exportedAs', { image: image.name, version: image.version })}
        {consistency !== undefined && consistency !== 'Stopped' && (
          <span className={styles.detail} data-testid="export-consistency">
            {t(`template.consistency.${consistency}`)}
          </span>
        )}
        <span className={styles.detail}>{ended}</span>
      </MessageBarBody>
      <MessageBarActions>
        {image !== null && (
          <LinkButton
            to={`/labs/new?image=${encodeURIComponent(image.name)}`}
            icon={<AddRegular />}
          >
            {t('template.newLabFromIt')}
          </LinkButton>
        )}
        <LinkButton to="/lab-account/gallery">{t('template.openGallery')}</LinkButton>
      </MessageBarActions>
    </MessageBar>
  );
}

export function FailedNotice({ operation }: { operation: Operation }) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  return (
    <MessageBar intent="error" layout="multiline" role="alert">
      <MessageBarBody className={styles.body}>
        <MessageBarTitle>
          {t('operation.failedTitle', { kind: kindText(t, operation) })}
        </MessageBarTitle>
        {operation.error?.message}
        <span className={styles.detail}>
          {t('problem.code', { code: operation.error?.code ?? '–' })}
        </span>
        <span className={styles.detail}>
          {t('operation.idIs', { id: operation.name })}{' '}
          <TextLink to={`/operations/${operation.name}`}>{t('operation.details')}</TextLink>
        </span>
        <span className={styles.detail}>{formatTime(operation.endTime, i18n.language)}</span>
      </MessageBarBody>
    </MessageBar>
  );
}

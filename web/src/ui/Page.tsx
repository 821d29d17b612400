import { makeStyles, Spinner, Title2, tokens } from '@fluentui/react-components';
import { useEffect, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

const useStyles = makeStyles({
  page: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalL,
    maxWidth: '1120px',
    minWidth: 0,
  },
  head: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    justifyContent: 'space-between',
    gap: tokens.spacingHorizontalM,
  },
  title: { margin: 0, overflowWrap: 'anywhere' },
  subtitle: { color: tokens.colorNeutralForeground2, marginTop: tokens.spacingVerticalXS },
  actions: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalS },
  waiting: { paddingBlock: tokens.spacingVerticalXXXL },
});

export interface PageProps {
  title: string;
  subtitle?: ReactNode;
  breadcrumb?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A page of the portal: one h1, the document's title, actions beside it. */
export function Page({ title, subtitle, breadcrumb, actions, children }: PageProps) {
  const styles = useStyles();
  const { t } = useTranslation();
  useEffect(() => {
    document.title = t('app.documentTitle', { page: title });
  }, [t, title]);
  return (
    <div className={styles.page}>
      {breadcrumb}
      <div className={styles.head}>
        <div>
          <Title2 as="h1" className={styles.title}>
            {title}
          </Title2>
          {subtitle !== undefined && <div className={styles.subtitle}>{subtitle}</div>}
        </div>
        {actions !== undefined && <div className={styles.actions}>{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export function Waiting() {
  const { t } = useTranslation();
  const styles = useStyles();
  return (
    <div className={styles.waiting}>
      <Spinner label={t('common.loading')} />
    </div>
  );
}

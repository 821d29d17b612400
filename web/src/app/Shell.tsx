import { makeStyles, Toaster, tokens } from '@fluentui/react-components';
import { Suspense, useEffect, useRef, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, Outlet, useLocation } from 'react-router';
import { session } from '../api/session';
import { OperationBar } from '../features/operations/OperationBar';
import { Waiting } from '../ui/Page';
import { Header } from './Header';
import { LabAccountScope, useLabAccountChoice } from './labAccount';
import { Navigation } from './Navigation';
import { kToaster } from './toaster';

const useStyles = makeStyles({
  shell: {
    minHeight: '100dvh',
    display: 'grid',
    gridTemplateRows: 'auto 1fr auto',
    gridTemplateColumns: '240px minmax(0, 1fr)',
    gridTemplateAreas: '"header header" "nav main" "bar bar"',
    backgroundColor: tokens.colorNeutralBackground2,
    '@media (max-width: 720px)': {
      gridTemplateRows: 'auto auto 1fr auto',
      gridTemplateColumns: 'minmax(0, 1fr)',
      gridTemplateAreas: '"header" "nav" "main" "bar"',
    },
  },
  skip: {
    position: 'absolute',
    left: tokens.spacingHorizontalM,
    top: '-100px',
    zIndex: 10,
    padding: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalL}`,
    backgroundColor: tokens.colorNeutralBackground1,
    color: tokens.colorBrandForegroundLink,
    borderRadius: tokens.borderRadiusMedium,
    ':focus': { top: tokens.spacingVerticalS },
  },
  toasts: { position: 'fixed', bottom: '32px', right: 0, width: 'min(340px, 100%)', zIndex: 3 },
  main: {
    gridArea: 'main',
    minWidth: 0,
    padding: `${tokens.spacingVerticalXL} ${tokens.spacingHorizontalXXL} ${tokens.spacingVerticalXXXL}`,
    outlineStyle: 'none',
    '@media (max-width: 720px)': {
      padding: `${tokens.spacingVerticalL} ${tokens.spacingHorizontalM}`,
    },
  },
});

/** The frame of every page: header, navigation, the page, the running operations. */
export function Shell() {
  const signedIn = useSyncExternalStore(session.subscribe, session.get);
  const location = useLocation();
  if (signedIn === null) {
    const page = location.pathname + location.search;
    const target = page === '/' ? '/sign-in' : `/sign-in?return=${encodeURIComponent(page)}`;
    return <Navigate to={target} replace />;
  }
  return <SignedInShell path={location.pathname} />;
}

function SignedInShell({ path }: { path: string }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const state = useLabAccountChoice();
  const main = useRef<HTMLElement>(null);
  const lastPath = useRef(path);
  useEffect(() => {
    // A new page begins at its top, also for those who do not see it.
    if (lastPath.current === path) return;
    lastPath.current = path;
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [path]);
  return (
    <div className={styles.shell}>
      <a className={styles.skip} href="#main">
        {t('app.skip')}
      </a>
      <Header choice={state.choice} />
      <Navigation />
      <main id="main" ref={main} tabIndex={-1} className={styles.main}>
        <LabAccountScope state={state}>
          <Suspense fallback={<Waiting />}>
            <Outlet />
          </Suspense>
        </LabAccountScope>
      </main>
      {state.choice !== null && <OperationBar subscription={state.choice.subscription} />}
      <section className={styles.toasts} aria-label={t('app.notifications')}>
        <Toaster inline toasterId={kToaster} position="bottom-end" />
      </section>
    </div>
  );
}

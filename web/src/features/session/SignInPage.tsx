import {
  Button,
  Field,
  Input,
  makeStyles,
  MessageBar,
  MessageBarBody,
  Title2,
  tokens,
} from '@fluentui/react-components';
import { EyeRegular } from '@fluentui/react-icons/svg/eye';
import { EyeOffRegular } from '@fluentui/react-icons/svg/eye-off';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, useSearchParams } from 'react-router';
import { ApiError, signIn } from '../../api/client';
import { session } from '../../api/session';
import { LanguageSwitch } from '../../app/LanguageSwitch';
import { Problem } from '../../ui/Problem';

const useStyles = makeStyles({
  page: {
    minHeight: '100dvh',
    display: 'grid',
    placeItems: 'center',
    padding: tokens.spacingHorizontalM,
    boxSizing: 'border-box',
    backgroundColor: tokens.colorNeutralBackground2,
  },
  card: {
    width: '100%',
    maxWidth: '400px',
    boxSizing: 'border-box',
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalL,
    padding: tokens.spacingHorizontalXXL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusXLarge,
    boxShadow: tokens.shadow8,
  },
  top: { display: 'flex', alignItems: 'center', justifyContent: 'space-between' },
  brand: { display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalS },
  title: { margin: 0 },
  form: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalM },
  intro: { color: tokens.colorNeutralForeground2 },
});

/** Only a path of the portal itself, never another site. */
function returnPath(wanted: string | null): string {
  return wanted !== null && /^\/(?![/\\])/.test(wanted) ? wanted : '/labs';
}

export function SignInPage() {
  const { t } = useTranslation();
  const styles = useStyles();
  const queryClient = useQueryClient();
  const [search] = useSearchParams();
  const [userName, setUserName] = useState('');
  const [password, setPassword] = useState('');
  const [visible, setVisible] = useState(false);
  const signedIn = useSyncExternalStore(session.subscribe, session.get);
  const attempt = useMutation({
    mutationFn: async () => {
      queryClient.clear(); // nothing of an earlier user may be seen
      await signIn({ userName, password });
    },
  });
  useEffect(() => {
    document.title = t('app.documentTitle', { page: t('session.signIn') });
  }, [t]);
  if (signedIn !== null) return <Navigate to={returnPath(search.get('return'))} replace />;

  const refused =
    attempt.error instanceof ApiError &&
    (attempt.error.code === 'invalid_grant' || attempt.error.status === 401);
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <div className={styles.top}>
          <div className={styles.brand}>
            <img src="/favicon.svg" alt="" width={32} height={32} />
            <Title2 as="h1" className={styles.title}>
              {t('app.name')}
            </Title2>
          </div>
          <LanguageSwitch />
        </div>
        <span className={styles.intro}>{t('session.intro')}</span>
        {session.hasEnded() && attempt.isIdle && (
          <MessageBar intent="warning" layout="multiline">
            <MessageBarBody>{t('session.ended')}</MessageBarBody>
          </MessageBar>
        )}
        <form
          className={styles.form}
          onSubmit={(event) => {
            event.preventDefault();
            if (!attempt.isPending) attempt.mutate();
          }}
        >
          <Field label={t('session.userName')} required>
            <Input
              name="username"
              autoComplete="username"
              value={userName}
              onChange={(_, { value }) => {
                setUserName(value);
              }}
            />
          </Field>
          <Field label={t('session.password')} required>
            <Input
              name="password"
              type={visible ? 'text' : 'password'}
              autoComplete="current-password"
              value={password}
              onChange={(_, { value }) => {
                setPassword(value);
              }}
              contentAfter={
                <Button
                  appearance="transparent"
                  size="small"
                  aria-label={visible ? t('session.hidePassword') : t('session.showPassword')}
                  icon={visible ? <EyeOffRegular /> : <EyeRegular />}
                  onClick={() => {
                    setVisible(!visible);
                  }}
                />
              }
            />
          </Field>
          {refused && (
            <MessageBar intent="error" layout="multiline" role="alert">
              <MessageBarBody>{t('session.refused')}</MessageBarBody>
            </MessageBar>
          )}
          {attempt.error !== null && !refused && <Problem error={attempt.error} />}
          <Button appearance="primary" type="submit" size="large" disabled={attempt.isPending}>
            {attempt.isPending ? t('session.signingIn') : t('session.signIn')}
          </Button>
        </form>
      </div>
    </main>
  );
}

import { Button, makeStyles, tokens } from '@fluentui/react-components';
import { useTranslation } from 'react-i18next';
import { useRouteError } from 'react-router';
import { Problem } from '../ui/Problem';

const useStyles = makeStyles({
  box: { padding: tokens.spacingHorizontalXXL, display: 'grid', gap: tokens.spacingVerticalL },
});

/** The portal itself failed: say so and offer to load it again, rather than a white page. */
export function RouteProblem() {
  const { t } = useTranslation();
  const styles = useStyles();
  const error = useRouteError();
  return (
    <main className={styles.box}>
      <Problem error={error} />
      <div>
        <Button
          appearance="primary"
          onClick={() => {
            window.location.reload();
          }}
        >
          {t('common.reload')}
        </Button>
      </div>
    </main>
  );
}

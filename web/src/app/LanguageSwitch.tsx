import { makeStyles, ToggleButton, tokens } from '@fluentui/react-components';
import { useTranslation } from 'react-i18next';
import { changeLanguage, kLanguages } from '../i18n';

const useStyles = makeStyles({
  group: { display: 'flex', gap: tokens.spacingHorizontalXXS },
  button: { minWidth: 'auto' },
});

/** Each language is named in itself, so that one who reads only that one finds it. */
export function LanguageSwitch() {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  return (
    <div className={styles.group} role="group" aria-label={t('app.language')}>
      {kLanguages.map((language) => (
        <ToggleButton
          key={language}
          className={styles.button}
          size="small"
          appearance="subtle"
          lang={language}
          checked={i18n.language === language}
          onClick={() => {
            changeLanguage(language);
          }}
        >
          {t(`app.languages.${language}`)}
        </ToggleButton>
      ))}
    </div>
  );
}

import { makeStyles, mergeClasses, tokens } from '@fluentui/react-components';
import { BeakerRegular } from '@fluentui/react-icons/svg/beaker';
import { ImageRegular } from '@fluentui/react-icons/svg/image';
import { TaskListLtrRegular } from '@fluentui/react-icons/svg/task-list-ltr';
import { useTranslation } from 'react-i18next';
import { NavLink } from 'react-router';

const useStyles = makeStyles({
  nav: {
    gridArea: 'nav',
    backgroundColor: tokens.colorNeutralBackground1,
    boxShadow: `1px 0 0 ${tokens.colorNeutralStroke2}`,
    '@media (max-width: 720px)': { boxShadow: `0 1px 0 ${tokens.colorNeutralStroke2}` },
  },
  list: {
    listStyleType: 'none',
    margin: 0,
    padding: tokens.spacingHorizontalM,
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalXXS,
    '@media (max-width: 720px)': {
      flexDirection: 'row',
      flexWrap: 'wrap',
      padding: tokens.spacingHorizontalXS,
    },
  },
  link: {
    display: 'flex',
    alignItems: 'center',
    gap: tokens.spacingHorizontalS,
    padding: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalM}`,
    borderRadius: tokens.borderRadiusMedium,
    color: tokens.colorNeutralForeground1,
    textDecorationLine: 'none',
    ':hover': { backgroundColor: tokens.colorNeutralBackground1Hover },
    ':focus-visible': { outline: `2px solid ${tokens.colorStrokeFocus2}` },
  },
  current: {
    fontWeight: tokens.fontWeightSemibold,
    backgroundColor: tokens.colorNeutralBackground1Selected,
    boxShadow: `inset 3px 0 0 ${tokens.colorBrandStroke1}`,
  },
  icon: { fontSize: '20px', lineHeight: 1, display: 'flex' },
});

const kPlaces = [
  { to: '/labs', key: 'nav.labs', icon: <BeakerRegular /> },
  { to: '/lab-account/gallery', key: 'nav.gallery', icon: <ImageRegular /> },
  { to: '/operations', key: 'nav.operations', icon: <TaskListLtrRegular /> },
] as const;

export function Navigation() {
  const { t } = useTranslation();
  const styles = useStyles();
  return (
    <nav className={styles.nav} aria-label={t('nav.label')}>
      <ul className={styles.list}>
        {kPlaces.map(({ to, key, icon }) => (
          <li key={to}>
            <NavLink
              to={to}
              className={({ isActive }) => mergeClasses(styles.link, isActive && styles.current)}
            >
              <span className={styles.icon} aria-hidden>
                {icon}
              </span>
              {t(key)}
            </NavLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}

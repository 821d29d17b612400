import {
  Button,
  makeStyles,
  Menu,
  MenuItem,
  MenuList,
  MenuPopover,
  MenuTrigger,
  Select,
  Text,
  tokens,
  Tooltip,
} from '@fluentui/react-components';
import { PersonRegular } from '@fluentui/react-icons/svg/person';
import { SignOutRegular } from '@fluentui/react-icons/svg/sign-out';
import { WeatherMoonRegular } from '@fluentui/react-icons/svg/weather-moon';
import { WeatherSunnyRegular } from '@fluentui/react-icons/svg/weather-sunny';
import { useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { session } from '../api/session';
import type { LabAccountChoice } from './labAccount';
import { LanguageSwitch } from './LanguageSwitch';
import { changeTheme, useTheme } from './theme';

const useStyles = makeStyles({
  header: {
    gridArea: 'header',
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: tokens.spacingHorizontalM,
    padding: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalL}`,
    backgroundColor: tokens.colorNeutralBackground1,
    borderBottom: `1px solid ${tokens.colorNeutralStroke2}`,
  },
  brand: { display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalS },
  account: {
    display: 'flex',
    alignItems: 'center',
    gap: tokens.spacingHorizontalS,
    minWidth: 0,
  },
  accountLabel: { whiteSpace: 'nowrap', color: tokens.colorNeutralForeground2 },
  end: {
    display: 'flex',
    alignItems: 'center',
    gap: tokens.spacingHorizontalXS,
    marginInlineStart: 'auto',
  },
});

export function Header({ choice }: { choice: LabAccountChoice | null }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const queryClient = useQueryClient();
  const { name: theme } = useTheme();
  const other = theme === 'dark' ? 'light' : 'dark';
  return (
    <header className={styles.header}>
      <div className={styles.brand}>
        <img src="/favicon.svg" alt="" width={28} height={28} />
        <Text weight="semibold" size={400}>
          {t('app.name')}
        </Text>
      </div>
      {choice !== null && choice.accounts.length > 0 && (
        <div className={styles.account}>
          <label htmlFor="lab-account" className={styles.accountLabel}>
            {t('labAccount.name')}
          </label>
          <Select
            id="lab-account"
            value={choice.account?.id ?? ''}
            onChange={(_, { value }) => {
              choice.choose(value);
            }}
          >
            {choice.accounts.map((each) => (
              <option key={each.id} value={each.id}>
                {each.name}
              </option>
            ))}
          </Select>
        </div>
      )}
      <div className={styles.end}>
        <LanguageSwitch />
        <Tooltip content={t(`app.theme.${other}`)} relationship="label">
          <Button
            appearance="subtle"
            icon={other === 'dark' ? <WeatherMoonRegular /> : <WeatherSunnyRegular />}
            onClick={() => {
              changeTheme(other);
            }}
          />
        </Tooltip>
        <Menu>
          <MenuTrigger disableButtonEnhancement>
            <Button appearance="subtle" icon={<PersonRegular />} aria-label={t('app.userMenu', { user: session.get()?.userName ?? '' })}>
              {session.get()?.userName}
            </Button>
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              <MenuItem
                icon={<SignOutRegular />}
                onClick={() => {
                  queryClient.clear();
                  session.end();
                }}
              >
                {t('session.signOut')}
              </MenuItem>
            </MenuList>
          </MenuPopover>
        </Menu>
      </div>
    </header>
  );
}

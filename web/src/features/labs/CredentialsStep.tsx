import { Button, Field, Input, makeStyles, Subtitle2, tokens } from '@fluentui/react-components';
import { EyeRegular } from '@fluentui/react-icons/svg/eye';
import { EyeOffRegular } from '@fluentui/react-icons/svg/eye-off';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { PlanImage } from '../../api/types';
import { isPassword } from '../../ui/names';
import { userNameFits, type LabDraft } from './draft';
import { SpecializedNote } from './ImagePicker';

const useStyles = makeStyles({
  step: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalL,
    maxWidth: '440px',
    marginBottom: tokens.spacingVerticalL,
  },
  heading: { margin: 0, outlineStyle: 'none' },
});

export interface CredentialsStepProps {
  draft: LabDraft;
  change: (part: Partial<LabDraft>) => void;
  image: PlanImage;
}

export function CredentialsStep({ draft, change, image }: CredentialsStepProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const [visible, setVisible] = useState(false);
  const { userName, password } = draft;
  return (
    <div className={styles.step}>
      <Subtitle2 as="h2" id="step-credentials" tabIndex={-1} className={styles.heading}>
        {t('lab.step.credentials')}
      </Subtitle2>
      {image.properties.osState === 'Specialized' ? (
        <SpecializedNote />
      ) : (
        <span>{t('lab.credentialsIntro')}</span>
      )}
      <Field
        label={t('session.userName')}
        required
        hint={t(
          image.properties.osState === 'Specialized' ? 'lab.userNameRule' : 'lab.newUserNameRule',
        )}
        validationState={userName === '' || userNameFits(userName, image) ? 'none' : 'error'}
      >
        <Input
          value={userName}
          maxLength={32}
          autoComplete="off"
          onChange={(_, { value }) => {
            change({ userName: value });
          }}
        />
      </Field>
      <Field
        label={t('session.password')}
        required
        hint={t('lab.passwordRule')}
        validationState={password === '' ? 'none' : isPassword(password) ? 'success' : 'error'}
      >
        <Input
          value={password}
          type={visible ? 'text' : 'password'}
          maxLength={72}
          autoComplete="new-password"
          onChange={(_, { value }) => {
            change({ password: value });
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
    </div>
  );
}

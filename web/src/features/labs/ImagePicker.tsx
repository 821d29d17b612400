import {
  Badge,
  Button,
  Field,
  makeStyles,
  mergeClasses,
  MessageBar,
  MessageBarBody,
  Radio,
  RadioGroup,
  SearchBox,
  Text,
  tokens,
} from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { regionKey } from '../../api/ids';
import { regionsQuery } from '../../api/queries';
import type { PlanImage } from '../../api/types';
import { useLabAccount } from '../../app/labAccount';
import { matches } from '../../i18n/search';
import { TextLink } from '../../ui/TextLink';
import { hiddenReason, imageTitle, type HiddenReason } from '../gallery/image';

const kReasons: HiddenReason[] = ['disabled', 'notInRegion', 'notReady'];

const useStyles = makeStyles({
  picker: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalS },
  search: { width: '100%', maxWidth: '320px' },
  list: { maxHeight: '360px', overflowY: 'auto', alignItems: 'stretch' },
  choice: {
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusMedium,
    padding: tokens.spacingHorizontalXS,
    marginBottom: tokens.spacingVerticalXS,
  },
  chosen: {
    backgroundColor: tokens.colorBrandBackground2,
    border: `1px solid ${tokens.colorBrandStroke1}`,
  },
  label: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalXXS },
  line: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: `${tokens.spacingVerticalXXS} ${tokens.spacingHorizontalS}`,
  },
  name: { color: tokens.colorNeutralForeground1, fontWeight: tokens.fontWeightSemibold, overflowWrap: 'anywhere' },
  quiet: { color: tokens.colorNeutralForeground2, fontSize: tokens.fontSizeBase200 },
  hidden: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: tokens.spacingHorizontalS,
  },
  hiddenList: {
    margin: 0,
    paddingInlineStart: tokens.spacingHorizontalXL,
    color: tokens.colorNeutralForeground2,
  },
});

export interface ImagePickerProps {
  images: PlanImage[];
  region: string;
  value: string;
  attached: boolean;
  onChange: (imageId: string) => void;
}

/** The images that a lab in this region can be made from; those it cannot are counted, with the reason. */
export function ImagePicker({ images, region, value, attached, onChange }: ImagePickerProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const [needle, setNeedle] = useState('');
  const usable = images.filter((each) => hiddenReason(each, region) === undefined);
  const shown = usable.filter((each) => matches(needle, each.name, each.properties.displayName));
  const picked = usable.find((each) => each.id === value);
  return (
    <div className={styles.picker}>
      <Field label={t('lab.imageSearch')} className={styles.search}>
        <SearchBox
          value={needle}
          onChange={(_, { value: text }) => {
            setNeedle(text);
          }}
        />
      </Field>
      {usable.length === 0 && (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>
            {t(attached ? 'lab.noImages' : 'lab.noGallery')}{' '}
            <TextLink to="/lab-account/gallery">{t('nav.gallery')}</TextLink>
          </MessageBarBody>
        </MessageBar>
      )}
      {usable.length > 0 && (
        <Field label={t('lab.vmImage')} required>
          <RadioGroup
            className={styles.list}
            value={value}
            onChange={(_, data) => {
              onChange(data.value);
            }}
          >
            {shown.map((each) => (
              <div
                key={each.id}
                className={mergeClasses(styles.choice, each.id === value && styles.chosen)}
              >
                <Radio value={each.id} label={<ChoiceLabel image={each} />} />
              </div>
            ))}
          </RadioGroup>
        </Field>
      )}
      {usable.length > 0 && shown.length === 0 && <Text role="status">{t('lab.noImageMatch')}</Text>}
      <HiddenImages images={images} region={region} />
      {picked?.properties.osState === 'Specialized' && <SpecializedNote />}
    </div>
  );
}

export function SpecializedNote() {
  const { t } = useTranslation();
  return (
    <MessageBar intent="info" layout="multiline">
      <MessageBarBody>{t('lab.specializedNote')}</MessageBarBody>
    </MessageBar>
  );
}

function ChoiceLabel({ image }: { image: PlanImage }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const { subscription } = useLabAccount();
  const regions = useQuery(regionsQuery(subscription));
  const { osState, version, availableRegions = [], osType } = image.properties;
  const names = availableRegions.map(
    (name) =>
      regions.data?.find((each) => regionKey(each.name) === regionKey(name))?.displayName ?? name,
  );
  return (
    <span className={styles.label}>
      <span className={styles.line}>
        <span className={styles.name}>{imageTitle(image)}</span>
        {version !== undefined && <span>{version}</span>}
        {osState !== undefined && (
          <Badge appearance="outline" color="informative">
            {t(`gallery.osState.${osState}`)}
          </Badge>
        )}
      </span>
      <span className={mergeClasses(styles.line, styles.quiet)}>
        <span>{osType}</span>
        {names.map((each) => (
          <span key={each}>{each}</span>
        ))}
      </span>
    </span>
  );
}

function HiddenImages({ images, region }: { images: PlanImage[]; region: string }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const [open, setOpen] = useState(false);
  const hidden = images.flatMap((image) => {
    const reason = hiddenReason(image, region);
    return reason === undefined ? [] : [{ image, reason }];
  });
  if (hidden.length === 0) return null;
  return (
    <>
      <div className={styles.hidden}>
        <Text>{t('lab.hidden', { count: hidden.length })}</Text>
        {kReasons.map((reason) => {
          const count = hidden.filter((each) => each.reason === reason).length;
          return count === 0 ? null : (
            <Badge key={reason} appearance="outline" color="informative">
              {t('lab.hiddenBadge', { reason: t(`lab.hiddenReason.${reason}`), number: count })}
            </Badge>
          );
        })}
        <Button
          size="small"
          appearance="subtle"
          aria-expanded={open}
          onClick={() => {
            setOpen(!open);
          }}
        >
          {t(open ? 'lab.hideHidden' : 'lab.showHidden')}
        </Button>
      </div>
      {open && (
        <ul className={styles.hiddenList}>
          {hidden.map(({ image, reason }) => (
            <li key={image.id}>
              {t('lab.hiddenImage', {
                image: imageTitle(image),
                reason: t(`lab.hiddenReason.${reason}`),
              })}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

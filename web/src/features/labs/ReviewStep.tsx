import { makeStyles, Subtitle2, tokens } from '@fluentui/react-components';
import { Fragment } from 'react';
import { useTranslation } from 'react-i18next';
import type { PlanImage, Region } from '../../api/types';
import { imageTitle } from '../gallery/image';
import type { LabDraft } from './draft';
import { SpecializedNote } from './ImagePicker';
import { useSizeText } from './SizeText';

const useStyles = makeStyles({
  step: {
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalL,
    marginBottom: tokens.spacingVerticalL,
  },
  heading: { margin: 0, outlineStyle: 'none' },
  facts: {
    display: 'grid',
    gridTemplateColumns: 'minmax(110px, max-content) minmax(0, 1fr)',
    gap: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalXL}`,
    margin: 0,
  },
  term: { color: tokens.colorNeutralForeground2 },
  value: { margin: 0, overflowWrap: 'anywhere' },
});

export interface ReviewStepProps {
  draft: LabDraft;
  name: string;
  image: PlanImage;
  regions: Region[];
}

export function ReviewStep({ draft, name, image, regions }: ReviewStepProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const sizeText = useSizeText();
  const { osState, version = '' } = image.properties;
  const facts: [string, string][] = [
    [t('lab.name'), draft.title],
    [t('lab.resourceName'), name],
    [
      t('common.region'),
      regions.find((each) => each.name === draft.region)?.displayName ?? draft.region,
    ],
    [t('lab.size'), sizeText(draft.size)],
    [t('lab.vmImage'), `${imageTitle(image)} ${version}`.trim()],
    [t('gallery.state'), osState === undefined ? '–' : t(`gallery.osState.${osState}`)],
    [t('session.userName'), draft.userName],
  ];
  return (
    <div className={styles.step}>
      <Subtitle2 as="h2" id="step-review" tabIndex={-1} className={styles.heading}>
        {t('lab.step.review')}
      </Subtitle2>
      <dl className={styles.facts}>
        {facts.map(([term, value]) => (
          <Fragment key={term}>
            <dt className={styles.term}>{term}</dt>
            <dd className={styles.value}>{value}</dd>
          </Fragment>
        ))}
      </dl>
      {osState === 'Specialized' && <SpecializedNote />}
    </div>
  );
}

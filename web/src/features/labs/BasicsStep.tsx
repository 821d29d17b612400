import { Field, Input, makeStyles, Select, Subtitle2, tokens } from '@fluentui/react-components';
import { useTranslation } from 'react-i18next';
import type { PlanImage, Region, VmSize } from '../../api/types';
import { isResourceName } from '../../ui/names';
import { isTitle, type LabDraft } from './draft';
import { ImagePicker } from './ImagePicker';
import { useSizeText } from './SizeText';

const useStyles = makeStyles({
  step: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalL, marginBottom: tokens.spacingVerticalL },
  heading: { margin: 0, outlineStyle: 'none' },
  row: {
    display: 'grid',
    gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 380px), 1fr))',
    gap: tokens.spacingHorizontalL,
    alignItems: 'start',
  },
});

export interface BasicsStepProps {
  draft: LabDraft;
  /** The resource name in force: typed, or made from the title. */
  name: string;
  change: (part: Partial<LabDraft>) => void;
  regions: Region[];
  sizes: VmSize[];
  images: PlanImage[];
  attached: boolean;
}

export function BasicsStep(props: BasicsStepProps) {
  const { draft, name, change, regions, sizes, images, attached } = props;
  const { t } = useTranslation();
  const styles = useStyles();
  const sizeText = useSizeText();
  const legal = isResourceName(name);
  return (
    <div className={styles.step}>
      <Subtitle2 as="h2" id="step-basics" tabIndex={-1} className={styles.heading}>
        {t('lab.step.basics')}
      </Subtitle2>
      <div className={styles.row}>
        <Field
          label={t('lab.name')}
          required
          hint={t('lab.nameHint')}
          validationState={draft.title === '' || isTitle(draft.title) ? 'none' : 'error'}
        >
          <Input
            value={draft.title}
            maxLength={120}
            autoComplete="off"
            onChange={(_, { value }) => {
              change({ title: value });
            }}
          />
        </Field>
        <Field
          label={t('lab.resourceName')}
          required
          hint={t('lab.resourceNameRule')}
          validationState={legal ? 'none' : 'error'}
        >
          <Input
            value={draft.title === '' && draft.name === '' ? '' : name}
            maxLength={80}
            autoComplete="off"
            onChange={(_, { value }) => {
              change({ name: value });
            }}
          />
        </Field>
        <Field label={t('common.region')} required>
          <Select
            value={draft.region}
            onChange={(_, { value }) => {
              change({ region: value, imageId: '' });
            }}
          >
            {regions.map((each) => (
              <option key={each.name} value={each.name}>
                {each.displayName}
              </option>
            ))}
          </Select>
        </Field>
        <Field label={t('lab.size')} required>
          <Select
            value={draft.size}
            onChange={(_, { value }) => {
              change({ size: value });
            }}
          >
            {sizes.map((each) => (
              <option key={each.name} value={each.name}>
                {sizeText(each)}
              </option>
            ))}
          </Select>
        </Field>
      </div>
      <ImagePicker
        images={images}
        region={draft.region}
        value={draft.imageId}
        attached={attached}
        onChange={(imageId) => {
          change({ imageId });
        }}
      />
    </div>
  );
}

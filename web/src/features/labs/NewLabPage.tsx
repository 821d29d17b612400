import { Button, makeStyles, mergeClasses, tokens } from '@fluentui/react-components';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useSearchParams } from 'react-router';
import { createLab } from '../../api/commands';
import { labIdOf, parseId } from '../../api/ids';
import { labsQuery, planImagesQuery, regionsQuery, sizesQuery } from '../../api/queries';
import type { LabPlan } from '../../api/types';
import { useLabAccount } from '../../app/labAccount';
import { LinkButton } from '../../ui/LinkButton';
import { resourceNameOf } from '../../ui/names';
import { Page, Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { ReasonedButton } from '../../ui/ReasonedButton';
import { TextLink } from '../../ui/TextLink';
import { hiddenReason } from '../gallery/image';
import { BasicsStep } from './BasicsStep';
import { CredentialsStep } from './CredentialsStep';
import { basicsComplete, credentialsComplete, useLabDraft } from './draft';
import { templatePath } from './lab';
import { NoLabAccount } from './NoLabAccount';
import { ReviewStep } from './ReviewStep';

const kSteps = ['basics', 'credentials', 'review'] as const;
type Step = (typeof kSteps)[number];

const useStyles = makeStyles({
  steps: {
    listStyleType: 'none',
    margin: 0,
    padding: 0,
    display: 'flex',
    flexWrap: 'wrap',
    gap: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalXL}`,
  },
  step: {
    color: tokens.colorNeutralForeground2,
    paddingBottom: tokens.spacingVerticalXS,
    borderBottom: '2px solid transparent',
  },
  current: {
    color: tokens.colorNeutralForeground1,
    fontWeight: tokens.fontWeightSemibold,
    borderBottomColor: tokens.colorBrandStroke1,
  },
  card: {
    padding: tokens.spacingHorizontalXL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusLarge,
    '@media (max-width: 480px)': { padding: tokens.spacingHorizontalM },
  },
  buttons: {
    display: 'flex',
    flexWrap: 'wrap',
    justifyContent: 'flex-end',
    gap: tokens.spacingHorizontalS,
  },
});

export function NewLabPage() {
  const { t } = useTranslation();
  const { account } = useLabAccount();
  if (account === null) {
    return (
      <Page title={t('lab.new')}>
        <NoLabAccount />
      </Page>
    );
  }
  return <NewLab account={account} />;
}

/** Everything the form chooses from. */
function useChoices(account: LabPlan) {
  const { subscription } = parseId(account.id);
  const regions = useQuery(regionsQuery(subscription));
  const sizes = useQuery(sizesQuery(subscription));
  const images = useQuery(planImagesQuery(account.id));
  const labs = useQuery(labsQuery(subscription));
  const allowed = account.properties.allowedRegions ?? [];
  return {
    regions: regions.data?.filter((each) => allowed.length === 0 || allowed.includes(each.name)),
    sizes: sizes.data,
    images: images.data,
    labs: labs.data,
    error: regions.error ?? sizes.error ?? images.error,
    retry: () => {
      for (const query of [regions, sizes, images]) void query.refetch();
    },
  };
}

/** "CS101", or "CS101-2" when that is taken; "lab-1" for a title without Latin letters. */
function freeName(title: string, taken: string[]): string {
  const base = resourceNameOf(title);
  const used = new Set(taken.map((each) => each.toLowerCase()));
  if (base !== '' && !used.has(base.toLowerCase())) return base;
  const stem = base === '' ? 'lab' : base;
  for (let number = base === '' ? 1 : 2; ; number += 1) {
    const name = `${stem}-${number}`;
    if (!used.has(name.toLowerCase())) return name;
  }
}

function NewLab({ account }: { account: LabPlan }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const [search, setSearch] = useSearchParams();
  const { draft: typed, change, forget } = useLabDraft();
  const { regions, sizes, images, labs, error, retry } = useChoices(account);

  // What nobody has chosen yet is chosen for them: the account's region, the smallest size, the image of the link.
  const wanted = search.get('image');
  const region =
    typed.region !== ''
      ? typed.region
      : (regions?.find((each) => each.name === account.location)?.name ?? regions?.[0]?.name ?? '');
  const size = typed.size !== '' ? typed.size : (sizes?.[0]?.name ?? '');
  const linked = images?.find((each) => each.name.toLowerCase() === wanted?.toLowerCase())?.id;
  const imageId = typed.imageId !== '' ? typed.imageId : (linked ?? '');
  const draft = { ...typed, region, size, imageId };

  const taken = useMemo(() => (labs ?? []).map((each) => each.name), [labs]);
  const name = draft.name !== '' ? draft.name : freeName(draft.title, taken);
  const image = images?.find(
    (each) => each.id === draft.imageId && hiddenReason(each, region) === undefined,
  );

  const asked = (search.get('step') ?? 'basics') as Step;
  const basics = basicsComplete(draft, name) && image !== undefined;
  const step: Step =
    !kSteps.includes(asked) || !basics
      ? 'basics'
      : asked === 'review' && !credentialsComplete(draft, image)
        ? 'credentials'
        : asked;
  const go = (next: Step) => {
    setSearch((before) => {
      const after = new URLSearchParams(before);
      after.set('step', next);
      return after;
    });
  };
  useEffect(() => {
    document.getElementById(`step-${step}`)?.focus();
  }, [step]);

  const create = useMutation({
    mutationFn: () =>
      createLab({
        labAccountId: account.id,
        name,
        title: draft.title.trim(),
        location: region,
        size,
        imageId: image?.properties.sharedGalleryId ?? '',
        userName: draft.userName,
        password: draft.password,
      }),
    onSuccess: async () => {
      forget();
      await Promise.all(
        ['labs', 'operations'].map((key) => queryClient.invalidateQueries({ queryKey: [key] })),
      );
      const { subscription, group } = parseId(account.id);
      await navigate(templatePath(labIdOf(subscription, group, name)));
    },
  });

  if (regions === undefined || sizes === undefined || images === undefined) {
    return (
      <Page title={t('lab.new')}>
        {error === null ? <Waiting /> : <Problem error={error} onRetry={retry} />}
      </Page>
    );
  }
  const missing =
    step === 'basics' && !basics
      ? t('lab.fillBasics')
      : step === 'credentials' && (image === undefined || !credentialsComplete(draft, image))
        ? t('lab.fillCredentials')
        : create.isPending
          ? t('common.working')
          : undefined;
  const at = kSteps.indexOf(step);
  const advance = () => {
    const next = kSteps[at + 1];
    if (next === undefined) create.mutate();
    else go(next);
  };
  const previous = kSteps[at - 1];

  return (
    <Page
      title={t('lab.new')}
      breadcrumb={<TextLink to="/labs">{t('nav.labs')}</TextLink>}
      subtitle={t('gallery.accountIs', { account: account.name })}
    >
      <ol className={styles.steps} aria-label={t('lab.stepsLabel')}>
        {kSteps.map((each, index) => (
          <li
            key={each}
            className={mergeClasses(styles.step, each === step && styles.current)}
            {...(each === step ? { 'aria-current': 'step' as const } : {})}
          >
            {t('lab.stepNumbered', { number: index + 1, step: t(`lab.step.${each}`) })}
          </li>
        ))}
      </ol>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (missing === undefined) advance();
        }}
      >
        <div className={styles.card}>
          {step === 'basics' && (
            <BasicsStep
              draft={draft}
              name={name}
              change={change}
              regions={regions}
              sizes={sizes}
              images={images}
              attached={(account.properties.sharedGalleryId ?? '') !== ''}
            />
          )}
          {step === 'credentials' && image !== undefined && (
            <CredentialsStep draft={draft} change={change} image={image} />
          )}
          {step === 'review' && image !== undefined && (
            <ReviewStep draft={draft} name={name} image={image} regions={regions} />
          )}
          {create.error !== null && <Problem error={create.error} />}
          <div className={styles.buttons}>
            <LinkButton to="/labs">{t('common.cancel')}</LinkButton>
            {previous !== undefined && (
              <Button
                onClick={() => {
                  go(previous);
                }}
              >
                {t('common.back')}
              </Button>
            )}
            <ReasonedButton appearance="primary" type="submit" reason={missing}>
              {step === 'review' ? t('lab.createLab') : t('common.next')}
            </ReasonedButton>
          </div>
        </div>
      </form>
    </Page>
  );
}

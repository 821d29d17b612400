import {
  Badge,
  Button,
  Checkbox,
  Field,
  makeStyles,
  SearchBox,
  Select,
  Table,
  TableBody,
  TableCell,
  TableHeader,
  TableHeaderCell,
  TableRow,
  Text,
  tokens,
} from '@fluentui/react-components';
import { ImageRegular } from '@fluentui/react-icons/svg/image';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { setImagesEnabled } from '../../api/commands';
import { planImagesQuery } from '../../api/queries';
import type { EnabledState, PlanImage } from '../../api/types';
import { matches } from '../../i18n/search';
import { EmptyState } from '../../ui/EmptyState';
import { LinkButton } from '../../ui/LinkButton';
import { Waiting } from '../../ui/Page';
import { Problem } from '../../ui/Problem';
import { ReasonedButton } from '../../ui/ReasonedButton';
import { TableFrame } from '../../ui/TableFrame';
import { imageTitle, isEnabled } from './image';
import { RegionStates } from './RegionStates';

type Filter = 'all' | 'enabled' | 'disabled';
const kPageRows = 50;

const useStyles = makeStyles({
  tools: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'end',
    gap: tokens.spacingHorizontalM,
  },
  search: { width: '100%', maxWidth: '280px' },
  table: { minWidth: '860px' },
  check: { width: '44px' },
  name: { width: '26%' },
  narrow: { width: '88px' },
  regions: { width: '24%' },
  wrap: { overflowWrap: 'anywhere' },
  cell: { paddingBlock: tokens.spacingVerticalXS },
  more: { display: 'flex', justifyContent: 'center' },
});

export function ImageTable({ accountId }: { accountId: string }) {
  const { t } = useTranslation();
  const images = useQuery(planImagesQuery(accountId));
  if (images.data === undefined) {
    return images.error === null ? (
      <Waiting />
    ) : (
      <Problem error={images.error} onRetry={() => void images.refetch()} />
    );
  }
  if (images.data.length === 0) {
    return (
      <EmptyState
        icon={<ImageRegular />}
        title={t('gallery.emptyTitle')}
        text={t('gallery.emptyText')}
      >
        <LinkButton to="/labs">{t('nav.labs')}</LinkButton>
      </EmptyState>
    );
  }
  return <FilledTable images={images.data} />;
}

function FilledTable({ images }: { images: PlanImage[] }) {
  const { t } = useTranslation();
  const styles = useStyles();
  const queryClient = useQueryClient();
  const [filter, setFilter] = useState<Filter>('all');
  const [needle, setNeedle] = useState('');
  const [rows, setRows] = useState(kPageRows);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const change = useMutation({
    mutationFn: (state: EnabledState) => setImagesEnabled(chosen.map((each) => each.id), state),
    onSettled: () => queryClient.invalidateQueries({ queryKey: ['planImages'] }),
  });

  const found = images.filter(
    (each) =>
      (filter === 'all' || isEnabled(each) === (filter === 'enabled')) &&
      matches(needle, each.name, each.properties.displayName, each.properties.osType),
  );
  const shown = found.slice(0, rows);
  const chosen = shown.filter((each) => selected.has(each.id));
  const all = chosen.length === shown.length && shown.length > 0;
  const toggle = (id: string) => {
    const next = new Set(selected);
    if (!next.delete(id)) next.add(id);
    setSelected(next);
  };
  const reason =
    chosen.length === 0
      ? t('gallery.selectFirst')
      : change.isPending
        ? t('common.working')
        : undefined;

  return (
    <>
      <div className={styles.tools}>
        <ReasonedButton
          reason={reason}
          onClick={() => {
            change.mutate('Enabled');
          }}
        >
          {t('gallery.enableSelected')}
        </ReasonedButton>
        <ReasonedButton
          reason={reason}
          onClick={() => {
            change.mutate('Disabled');
          }}
        >
          {t('gallery.disableSelected')}
        </ReasonedButton>
        <Field label={t('common.show')}>
          <Select
            value={filter}
            onChange={(_, { value }) => {
              setFilter(value as Filter);
            }}
          >
            <option value="all">{t('gallery.filter.all')}</option>
            <option value="enabled">{t('gallery.filter.enabled')}</option>
            <option value="disabled">{t('gallery.filter.disabled')}</option>
          </Select>
        </Field>
        <Field label={t('common.search')} className={styles.search}>
          <SearchBox
            value={needle}
            onChange={(_, { value }) => {
              setNeedle(value);
            }}
          />
        </Field>
      </div>
      {change.error !== null && <Problem error={change.error} />}
      <Text role="status">
        {t('gallery.counts', { shown: found.length, total: images.length })}
      </Text>
      <TableFrame label={t('gallery.images')}>
        <Table className={styles.table} aria-label={t('gallery.images')}>
          <TableHeader>
            <TableRow>
              <TableHeaderCell className={styles.check}>
                <Checkbox
                  aria-label={t('gallery.selectAll')}
                  checked={all ? true : chosen.length > 0 ? 'mixed' : false}
                  onChange={() => {
                    setSelected(all ? new Set() : new Set(shown.map((each) => each.id)));
                  }}
                />
              </TableHeaderCell>
              <TableHeaderCell className={styles.name}>{t('common.name')}</TableHeaderCell>
              <TableHeaderCell className={styles.narrow}>{t('gallery.os')}</TableHeaderCell>
              <TableHeaderCell>{t('gallery.state')}</TableHeaderCell>
              <TableHeaderCell className={styles.narrow}>{t('gallery.version')}</TableHeaderCell>
              <TableHeaderCell className={styles.regions}>{t('gallery.regions')}</TableHeaderCell>
              <TableHeaderCell>{t('gallery.enabled')}</TableHeaderCell>
            </TableRow>
          </TableHeader>
          <TableBody>
            {shown.map((each) => (
              <ImageRow
                key={each.id}
                image={each}
                selected={selected.has(each.id)}
                onToggle={() => {
                  toggle(each.id);
                }}
              />
            ))}
          </TableBody>
        </Table>
      </TableFrame>
      {found.length > rows && (
        <div className={styles.more}>
          <Button
            onClick={() => {
              setRows(rows + kPageRows);
            }}
          >
            {t('common.showMore')}
          </Button>
        </div>
      )}
    </>
  );
}

interface ImageRowProps {
  image: PlanImage;
  selected: boolean;
  onToggle: () => void;
}

function ImageRow({ image, selected, onToggle }: ImageRowProps) {
  const { t } = useTranslation();
  const styles = useStyles();
  const { osType, osState, version } = image.properties;
  const enabled = isEnabled(image);
  return (
    <TableRow>
      <TableCell className={styles.check}>
        <Checkbox
          aria-label={t('gallery.selectOne', { image: imageTitle(image) })}
          checked={selected}
          onChange={onToggle}
        />
      </TableCell>
      <TableCell className={styles.wrap}>{imageTitle(image)}</TableCell>
      <TableCell>{osType ?? '–'}</TableCell>
      <TableCell>{osState === undefined ? '–' : t(`gallery.osState.${osState}`)}</TableCell>
      <TableCell>{version ?? '–'}</TableCell>
      <TableCell className={styles.cell}>
        <RegionStates image={image} />
      </TableCell>
      <TableCell>
        <Badge appearance="tint" color={enabled ? 'success' : 'informative'}>
          {t(enabled ? 'gallery.isEnabled' : 'gallery.isDisabled')}
        </Badge>
      </TableCell>
    </TableRow>
  );
}

import { Badge, makeStyles, tokens } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { regionKey } from '../../api/ids';
import { regionsQuery, versionQuery } from '../../api/queries';
import type { PlanImage, RegionReplication } from '../../api/types';
import { useLabAccount } from '../../app/labAccount';
import { formatPercent } from '../../i18n/format';

const useStyles = makeStyles({
  list: {
    listStyleType: 'none',
    margin: 0,
    padding: `${tokens.spacingVerticalXS} 0`,
    display: 'flex',
    flexDirection: 'column',
    gap: tokens.spacingVerticalXS,
  },
  item: {
    display: 'flex',
    flexWrap: 'wrap',
    alignItems: 'center',
    gap: tokens.spacingHorizontalXS,
  },
});

const kColors = {
  Completed: 'success',
  Replicating: 'brand',
  Failed: 'danger',
  Unknown: 'informative',
} as const;

/** In which regions the image's newest version is, and how far it is on its way to the others. */
export function RegionStates({ image }: { image: PlanImage }) {
  const { t, i18n } = useTranslation();
  const styles = useStyles();
  const { subscription } = useLabAccount();
  const regions = useQuery(regionsQuery(subscription));
  const { sharedGalleryId = '', version = '', availableRegions = [] } = image.properties;
  const found = useQuery({
    ...versionQuery(sharedGalleryId, version),
    enabled: sharedGalleryId !== '' && version !== '',
  });
  const summary: RegionReplication[] =
    found.data?.properties.replicationStatus?.summary ??
    availableRegions.map((region) => ({ region, state: 'Completed' }));
  const display = (name: string) =>
    regions.data?.find((each) => regionKey(each.name) === regionKey(name))?.displayName ?? name;
  const stateText = ({ state, progress }: RegionReplication) =>
    state === 'Replicating' && progress !== undefined
      ? t('gallery.replicatingPercent', { percent: formatPercent(progress, i18n.language) })
      : t(`gallery.replication.${state}`);
  return (
    <ul className={styles.list}>
      {summary.map((each) => (
        <li key={each.region} className={styles.item} title={each.details ?? ''}>
          <span>{display(each.region)}</span>
          <Badge appearance="tint" color={kColors[each.state]}>
            {stateText(each)}
          </Badge>
        </li>
      ))}
    </ul>
  );
}

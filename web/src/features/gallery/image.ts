import { regionKey } from '../../api/ids';
import type { PlanImage } from '../../api/types';

export const imageTitle = (image: PlanImage) => image.properties.displayName ?? image.name;

/** Images are enabled unless somebody disabled them. */
export const isEnabled = (image: PlanImage) => image.properties.enabledState !== 'Disabled';

export type HiddenReason = 'disabled' | 'notReady' | 'notInRegion';

/** Why an image cannot be picked for a lab in `region`; undefined when it can. */
export function hiddenReason(image: PlanImage, region: string): HiddenReason | undefined {
  const { provisioningState, availableRegions, version } = image.properties;
  if (!isEnabled(image)) return 'disabled';
  if (version === undefined || version === '') return 'notReady';
  const inRegion = availableRegions?.some((each) => regionKey(each) === regionKey(region)) === true;
  if (inRegion) return undefined;
  if (provisioningState !== undefined && provisioningState !== 'Succeeded') return 'notReady';
  return 'notInRegion';
}

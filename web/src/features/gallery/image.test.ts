import { expect, it } from 'vitest';
import type { PlanImage } from '../../api/types';
import { hiddenReason } from './image';

const image = (properties: PlanImage['properties']): PlanImage => ({
  id: '/i',
  name: 'i',
  type: '',
  properties: { version: '1.0.0', availableRegions: ['japaneast'], ...properties },
});

it('says why an image cannot be picked', () => {
  expect(hiddenReason(image({}), 'japaneast')).toBeUndefined();
  expect(hiddenReason(image({ availableRegions: ['Japan East'] }), 'japaneast')).toBeUndefined();
  expect(hiddenReason(image({}), 'westus2')).toBe('notInRegion');
  expect(hiddenReason(image({ enabledState: 'Disabled' }), 'japaneast')).toBe('disabled');
  expect(hiddenReason(image({ version: '', availableRegions: [] }), 'japaneast')).toBe('notReady');
});

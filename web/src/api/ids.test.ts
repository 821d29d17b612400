import { expect, it } from 'vitest';
import { isWithin, labIdOf, nameAfter, parseId, regionKey, sameId } from './ids';

const kLab = labIdOf('s1', 'contoso-rg', 'CS101');

it('takes an id apart in any case', () => {
  expect(parseId(kLab)).toEqual({ subscription: 's1', group: 'contoso-rg', name: 'CS101' });
  expect(parseId(kLab.toLowerCase()).group).toBe('contoso-rg');
});

it('compares whole segments only', () => {
  expect(isWithin(`${kLab}/virtualMachines/0`, kLab.toUpperCase())).toBe(true);
  expect(isWithin(`${kLab}-2/virtualMachines/0`, kLab)).toBe(false);
  expect(sameId(kLab, kLab.toUpperCase())).toBe(true);
  expect(sameId(undefined, undefined)).toBe(false);
});

it('finds the name behind a type', () => {
  expect(nameAfter('/x/galleries/g/images/linux/versions/1.0.0', 'Images')).toBe('linux');
  expect(nameAfter(kLab, 'images')).toBeUndefined();
});

it('treats a region and its display name alike', () => {
  expect(regionKey('Japan East')).toBe('japaneast');
});

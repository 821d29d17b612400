import { describe, expect, it } from 'vitest';
import {
  isGalleryName,
  isImageName,
  isNewUserName,
  isPassword,
  isResourceName,
  isUserName,
  resourceNameOf,
} from './names';

describe('image names', () => {
  it.each(['a', 'ubuntu-ml', 'Win_11.2026', '7', 'x'.repeat(80)])('accepts %s', (name) => {
    expect(isImageName(name)).toBe(true);
  });
  it.each(['', ' ', '-a', 'a-', '.a', 'a.', '_a', 'a_', 'my image', 'イメージ', 'a/b', 'x'.repeat(81), 'a\n'])(
    'refuses %j',
    (name) => {
      expect(isImageName(name)).toBe(false);
    },
  );
});

it('allows no dash in a gallery name', () => {
  expect(isGalleryName('dept.gallery_1')).toBe(true);
  expect(isGalleryName('dept-gallery')).toBe(false);
});

it('lets a resource name end with an underscore but not with a dash', () => {
  expect(isResourceName('CS101_')).toBe(true);
  expect(isResourceName('CS101-')).toBe(false);
});

it('takes a resource name from the Latin part of a title', () => {
  expect(resourceNameOf('CS101 Spring!')).toBe('CS101-Spring');
  expect(resourceNameOf('CS101 情報')).toBe('CS101');
  expect(resourceNameOf('ＣＳ１０１')).toBe('CS101');
  expect(resourceNameOf('情報リテラシー 2 組')).toBe('');
  expect(isResourceName(resourceNameOf('x '.repeat(80)))).toBe(true);
});

it('knows which accounts a first boot can make', () => {
  expect(isNewUserName('ayumi')).toBe(true);
  expect(isNewUserName('root')).toBe(false);
  expect(isNewUserName('Ayumi')).toBe(false);
  expect(isUserName('Ayumi')).toBe(true);
});

it('wants three kinds of characters in a password', () => {
  expect(isPassword('Kyoshitsu-2026')).toBe(true);
  expect(isPassword('kyoshitsu-2026')).toBe(true);
  expect(isPassword('kyoshitsu')).toBe(false);
  expect(isPassword('Ab1-')).toBe(false);
  expect(isPassword(`Ab1-${'x'.repeat(80)}`)).toBe(false);
});

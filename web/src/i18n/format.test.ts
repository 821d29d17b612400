import { describe, expect, it } from 'vitest';
import { elapsedSeconds, formatBytes, formatDuration, formatPercent, formatRate, formatTime } from './format';
import { matches } from './search';

describe('figures', () => {
  it('scales bytes', () => {
    expect(formatBytes(5_100_000_000, 'en')).toBe('5.1 GB');
    expect(formatBytes(0, 'en')).toBe('0 bytes');
    expect(formatBytes(12_100_000_000, 'ja')).toContain('12.1');
  });
  it('scales rates and durations', () => {
    expect(formatRate(31_000_000)).toBe('31.0 MB/s');
    expect(formatDuration(80)).toBe('1:20');
    expect(formatDuration(3723)).toBe('1:02:03');
    expect(formatDuration(-4)).toBe('0:00');
  });
  it('never rounds a percentage up to the end', () => {
    expect(formatPercent(99.99, 'en')).toBe('99%');
    expect(formatPercent(100, 'en')).toBe('100%');
  });
  it('does not choke on times that are missing', () => {
    expect(formatTime(undefined, 'ja')).toBe('–');
    expect(elapsedSeconds(undefined, undefined, 0)).toBeUndefined();
    expect(elapsedSeconds('2026-07-02T00:00:00Z', '2026-07-02T00:01:30Z', 0)).toBe(90);
  });
});

it('searches without regard to width, kana, case and spaces', () => {
  expect(matches('いめーじ', '共有イメージ ギャラリー')).toBe(true);
  expect(matches('イメージギャラリー', '共有イメージ ギャラリー')).toBe(true);
  expect(matches('ＵＢＵＮＴＵ', undefined, 'ubuntu-ml')).toBe(true);
  expect(matches('win', 'ubuntu-ml')).toBe(false);
});

// Numbers, bytes, dates and durations in the reader's language.

const kUnits = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;

function scaled(value: number): [number, number] {
  let unit = 0;
  let rest = value;
  while (rest >= 1000 && unit < kUnits.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return [rest, unit];
}

function withUnit(value: number, suffix: '' | '-per-second', language: string): string {
  const [rest, unit] = scaled(value);
  return new Intl.NumberFormat(language, {
    style: 'unit',
    unit: `${kUnits[unit] ?? 'byte'}${suffix}`,
    unitDisplay: unit === 0 ? 'long' : 'short',
    maximumFractionDigits: unit === 0 || rest >= 100 ? 0 : 1,
  }).format(rest);
}

/** 5100000000 is "5.1 GB". */
export const formatBytes = (bytes: number, language: string) => withUnit(bytes, '', language);

/** 31000000 is "31 MB/s". */
export function formatRate(bytesPerSecond: number): string {
  const [rest, unit] = scaled(bytesPerSecond);
  const names = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s'];
  const digits = unit === 0 || rest >= 100 ? 0 : 1;
  return `${rest.toFixed(digits)} ${names[unit] ?? ''}`;
}

/** 80 is "1:20", 3723 is "1:02:03". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}

/** 42.04 is "42%"; never rounds up to 100. */
export function formatPercent(percent: number, language: string): string {
  const shown = percent >= 100 ? 100 : Math.min(99, Math.floor(percent));
  return new Intl.NumberFormat(language, { style: 'percent' }).format(shown / 100);
}

export function formatTime(iso: string | undefined, language: string): string {
  const time = Date.parse(iso ?? '');
  if (Number.isNaN(time)) return '–';
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(
    time,
  );
}

/** How long an operation took or has taken; undefined before it started. */
export function elapsedSeconds(
  start: string | undefined,
  end: string | undefined,
  now: number,
): number | undefined {
  const from = Date.parse(start ?? '');
  if (Number.isNaN(from)) return undefined;
  const to = end === undefined ? now : Date.parse(end);
  return Number.isNaN(to) ? undefined : Math.max(0, (to - from) / 1000);
}

import { webDarkTheme, webLightTheme, type Theme } from '@fluentui/react-components';
import { useSyncExternalStore } from 'react';

export type ThemeName = 'light' | 'dark';

const kStorageName = 'atelier.theme';
const kFonts =
  "'Segoe UI', 'Yu Gothic UI', Meiryo, 'Hiragino Sans', 'Noto Sans CJK JP', 'Noto Sans JP', system-ui, sans-serif";

// Japanese is taller than Latin text: every line gets half its size more.
const kLines = {
  fontFamilyBase: kFonts,
  lineHeightBase100: '15px',
  lineHeightBase200: '18px',
  lineHeightBase300: '21px',
  lineHeightBase400: '24px',
};
const themes: Record<ThemeName, Theme> = {
  light: { ...webLightTheme, ...kLines },
  dark: { ...webDarkTheme, ...kLines },
};

const listeners = new Set<() => void>();
let current: ThemeName = first();

function first(): ThemeName {
  try {
    const stored = localStorage.getItem(kStorageName);
    if (stored === 'light' || stored === 'dark') return stored;
  } catch {
    // Storage is switched off: go by the system.
  }
  return window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

export function changeTheme(name: ThemeName) {
  current = name;
  try {
    localStorage.setItem(kStorageName, name);
  } catch {
    // Then it lasts until the next reload.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

export function useTheme(): { name: ThemeName; theme: Theme } {
  const name = useSyncExternalStore(subscribe, () => current);
  return { name, theme: themes[name] };
}

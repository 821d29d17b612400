import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import en from './en.json';
import ja from './ja.json';

export type Language = 'en' | 'ja';
export const kLanguages: Language[] = ['ja', 'en'];

const kStorageName = 'atelier.language';

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'translation';
    resources: { translation: typeof en };
  }
}

function firstLanguage(): Language {
  try {
    const stored = localStorage.getItem(kStorageName);
    if (stored === 'en' || stored === 'ja') return stored;
  } catch {
    // Storage is switched off: go by the browser.
  }
  return navigator.languages.find((each) => /^(ja|en)\b/.test(each))?.startsWith('ja') === true
    ? 'ja'
    : 'en';
}

export function changeLanguage(language: Language) {
  try {
    localStorage.setItem(kStorageName, language);
  } catch {
    // Then it lasts until the next reload.
  }
  void i18next.changeLanguage(language);
}

i18next.on('languageChanged', (language) => {
  document.documentElement.lang = language;
});

await i18next.use(initReactI18next).init({
  resources: { en: { translation: en }, ja: { translation: ja } },
  lng: firstLanguage(),
  fallbackLng: 'en',
  interpolation: { escapeValue: false }, // React escapes
});

export { i18next };

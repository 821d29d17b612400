import { useTranslation } from 'react-i18next';
import type { VmSize } from '../../api/types';
import { sizeFigures } from './lab';

/** A VM size in words. */
export function useSizeText() {
  const { t, i18n } = useTranslation();
  return (size: VmSize | string): string => {
    const figures = sizeFigures(size);
    const name = typeof size === 'string' ? size : size.name;
    if (figures === null) return name;
    const memory = new Intl.NumberFormat(i18n.language, { maximumFractionDigits: 1 });
    return t('lab.sizeText', { count: figures.cores, memory: memory.format(figures.gigabytes) });
  };
}

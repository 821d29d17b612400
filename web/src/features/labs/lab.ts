import { nameAfter, parseId } from '../../api/ids';
import type { Lab, VmSize } from '../../api/types';

export const labTitle = (lab: Lab) => {
  const title = lab.properties.title ?? '';
  return title === '' ? lab.name : title;
};

export function templatePath(labId: string): string {
  const { subscription, group, name } = parseId(labId);
  return `/labs/${[subscription, group, name].map(encodeURIComponent).join('/')}/template`;
}

/** "ubuntu-ml 1.0.3": the image that a lab was made from. */
export function labImage(lab: Lab): string {
  const reference = lab.properties.virtualMachineProfile?.imageReference;
  const name = nameAfter(reference?.id, 'images') ?? reference?.sku ?? '';
  const version = reference?.exactVersion ?? nameAfter(reference?.id, 'versions') ?? '';
  return `${name} ${version}`.trim();
}

/** Cores and memory in GB, from the end of the size's name: "…_2_4GB_128_S_SSD", "…_1_512MB". */
export function sizeFigures(size: VmSize | string): { cores: number; gigabytes: number } | null {
  const name = typeof size === 'string' ? size : size.name;
  const found = /_(\d+)_(\d+)(GB|MB)/i.exec(name);
  if (found === null) return null;
  const memory = Number(found[2]);
  return {
    cores: Number(found[1]),
    gigabytes: found[3]?.toUpperCase() === 'MB' ? memory / 1024 : memory,
  };
}

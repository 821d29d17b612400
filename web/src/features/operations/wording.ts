import type { TFunction } from 'i18next';
import { nameAfter, parseId } from '../../api/ids';
import type { Operation } from '../../api/types';
import en from '../../i18n/en.json';

function has<T extends object>(table: T, key: string): key is Extract<keyof T, string> {
  return Object.hasOwn(table, key);
}

/** What an operation does, in words; a kind that this portal does not know keeps the server's name. */
export function kindText(t: TFunction, operation: Operation): string {
  const kind = operation.properties?.kind ?? '';
  return has(en.operation.kinds, kind) ? t(`operation.kinds.${kind}`) : kind;
}

export function phaseText(t: TFunction, operation: Operation): string {
  if (operation.status === 'NotStarted') return t('operation.status.NotStarted');
  if (operation.properties?.cancelRequested === true) return t('operation.cancelling');
  const phase = operation.properties?.progress?.phase ?? '';
  if (phase === '') return t(`operation.status.${operation.status}`);
  return has(en.operation.phases, phase) ? t(`operation.phases.${phase}`) : phase;
}

/** The name of the thing that is worked on: the lab of a VM, the image of a version. */
export function targetName(operation: Operation): string {
  const id = operation.properties?.targetId ?? '';
  const version = nameAfter(id, 'versions');
  const image = nameAfter(id, 'images');
  if (image !== undefined && version !== undefined) return `${image} ${version}`;
  return nameAfter(id, 'labs') ?? parseId(id).name;
}

/** The image and version that an export made. */
export function exportedImage(operation: Operation): { name: string; version: string } | null {
  const id = operation.properties?.resourceId;
  const name = nameAfter(id, 'images');
  return name === undefined ? null : { name, version: nameAfter(id, 'versions') ?? '' };
}

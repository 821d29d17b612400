// Why a button of the template page cannot be pressed now.

import type { TFunction } from 'i18next';
import { kindText } from '../operations/wording';
import type { Template } from './TemplatePage';

function busyReason(t: TFunction, { vm, operations: { running } }: Template): string | undefined {
  if (running !== undefined) return t('template.busy', { kind: kindText(t, running) });
  if (vm === null) return t('template.noVm');
  return undefined;
}

export function startReason(t: TFunction, template: Template): string | undefined {
  const busy = busyReason(t, template);
  if (busy !== undefined) return busy;
  const state = template.vm?.properties.state;
  if (state === 'Running') return t('template.alreadyRuns');
  return state === 'Stopped' ? undefined : t('template.changing');
}

export function stopReason(t: TFunction, template: Template): string | undefined {
  const busy = busyReason(t, template);
  if (busy !== undefined) return busy;
  const state = template.vm?.properties.state;
  if (state === 'Stopped') return t('template.alreadyStopped');
  return state === 'Running' ? undefined : t('template.changing');
}

/** A running VM may be exported too; the dialog says what that means. */
export function exportReason(t: TFunction, template: Template): string | undefined {
  if (template.account !== undefined && !hasGallery(template)) return t('template.noGallery');
  return busyReason(t, template);
}

export function hasGallery({ account }: Template): boolean {
  return (account?.properties.sharedGalleryId ?? '') !== '';
}

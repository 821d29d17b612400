import { FluentProvider, webLightTheme } from '@fluentui/react-components';
import { render, screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import type { Operation } from '../../api/types';
import { i18next } from '../../i18n';
import { ProgressDetails } from './ProgressDetails';
import { labOperations } from './useOperations';
import { exportedImage, kindText, targetName } from './wording';

const kLab = '/subscriptions/s/resourceGroups/g/providers/Microsoft.LabServices/labs/CS101';

const operation = (status: Operation['status'], kind = 'ExportImage'): Operation => ({
  id: '/op',
  name: 'op',
  status,
  percentComplete: 100,
  properties: {
    kind,
    targetId: `${kLab}/virtualMachines/0`,
    progress: {
      phase: 'Committing',
      bytesDone: 12_100_000_000,
      bytesTotal: 12_100_000_000,
      newBytes: 5_700_000_000,
      knownBytes: 6_400_000_000,
      bytesPerSecond: 31_000_000,
      etaSeconds: null,
      updatedAt: new Date().toISOString(),
    },
  },
});

async function show(language: string, shown: Operation) {
  await i18next.changeLanguage(language);
  render(
    <FluentProvider theme={webLightTheme}>
      <ProgressDetails operation={shown} />
    </FluentProvider>,
  );
}

it('shows phase, bytes, rate and parts, and not the end before the end', async () => {
  await show('en', operation('InProgress'));
  expect(screen.getByText('99%')).toBeTruthy();
  expect(screen.queryByText('100%')).toBeNull();
  for (const text of ['Committing', '12.1 GB of 12.1 GB', '5.7 GB', '6.4 GB', '31.0 MB/s', 'Not known yet'])
    expect(screen.getByText(text)).toBeTruthy();
});

it('shows the same in Japanese', async () => {
  await show('ja', operation('InProgress'));
  for (const text of ['コミット', '計算中', '残り時間']) expect(screen.getByText(text)).toBeTruthy();
});

it('shows the end at the end', async () => {
  await show('en', operation('Succeeded'));
  expect(screen.getByText('100%')).toBeTruthy();
});

it('finds what belongs to a lab', () => {
  const running = operation('InProgress', 'StopVirtualMachine');
  const exported = operation('Succeeded');
  const other = operation('InProgress');
  other.properties = { targetId: `${kLab}-2` };
  expect(labOperations([other, running, exported], kLab)).toEqual({
    running,
    lastExport: exported,
    failed: undefined,
  });
});

it('shows a failure only until something newer was done', () => {
  const failed = operation('Failed', 'StartVirtualMachine');
  expect(labOperations([failed], kLab).failed).toBe(failed);
  expect(labOperations([operation('Succeeded', 'StartVirtualMachine'), failed], kLab).failed).toBeUndefined();
});

it('names kinds it does not know as the server does', async () => {
  await i18next.changeLanguage('en');
  expect(kindText(i18next.t, operation('InProgress', 'SomethingNew'))).toBe('SomethingNew');
  expect(kindText(i18next.t, operation('InProgress', 'toString'))).toBe('toString');
  expect(targetName(operation('InProgress'))).toBe('CS101');
});

it('reads the exported image from the result', () => {
  const done = operation('Succeeded');
  expect(exportedImage(done)).toBeNull();
  done.properties = { resourceId: '/x/galleries/g/images/ubuntu-ml/versions/1.0.3' };
  expect(exportedImage(done)).toEqual({ name: 'ubuntu-ml', version: '1.0.3' });
});

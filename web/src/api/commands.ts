// Every change the portal asks for. Long work is followed through the list of operations, not through these promises.

import { kCompute, kLabServices, patch, post, put, remove, settled } from './client';
import { ApiError } from './client';
import { parseId } from './ids';
import type { EnabledState, Gallery, LabPlan } from './types';

export async function attachGallery(labAccountId: string, galleryId: string | null) {
  await patch(labAccountId, kLabServices, { properties: { sharedGalleryId: galleryId } });
  await settled(labAccountId, kLabServices);
}

export interface NewResource {
  subscription: string;
  group: string;
  name: string;
  location: string;
}

export async function createGallery({ subscription, group, name, location }: NewResource) {
  const id = `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Compute/galleries/${name}`;
  const gallery = await put<Gallery>(id, kCompute, { location, properties: {} });
  if ((await settled(id, kCompute)) === 'Failed') throw new ApiError(500, 'GalleryFailed', name);
  return gallery?.id ?? id;
}

export async function createLabAccount({ subscription, group, name, location }: NewResource) {
  const groupId = `/subscriptions/${subscription}/resourcegroups/${group}`;
  await put(groupId, '2021-04-01', { location });
  const id = `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.LabServices/labPlans/${name}`;
  await put<LabPlan>(id, kLabServices, { location, properties: {} });
  await settled(id, kLabServices);
  return id;
}

export async function setImagesEnabled(imageIds: string[], enabledState: EnabledState) {
  for (const id of imageIds) await patch(id, kLabServices, { properties: { enabledState } });
}

export interface NewLab {
  labAccountId: string;
  name: string;
  title: string;
  location: string;
  size: string;
  imageId: string;
  userName: string;
  password: string;
}

export async function createLab(lab: NewLab): Promise<void> {
  const { subscription, group } = parseId(lab.labAccountId);
  await put(
    `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.LabServices/labs/${lab.name}`,
    kLabServices,
    {
      location: lab.location,
      properties: {
        title: lab.title,
        labPlanId: lab.labAccountId,
        autoShutdownProfile: {
          shutdownOnDisconnect: 'Disabled',
          shutdownWhenNotConnected: 'Disabled',
          shutdownOnIdle: 'None',
        },
        connectionProfile: {
          webSshAccess: 'None',
          webRdpAccess: 'None',
          clientSshAccess: 'Public',
          clientRdpAccess: 'None',
        },
        securityProfile: { openAccess: 'Disabled' },
        virtualMachineProfile: {
          createOption: 'TemplateVM',
          imageReference: { id: lab.imageId },
          sku: { name: lab.size, capacity: 1 },
          usageQuota: 'PT10H',
          useSharedPassword: 'Enabled',
          adminUser: { username: lab.userName, password: lab.password },
        },
      },
    },
  );
}

export const deleteLab = (labId: string) => remove(labId, kLabServices);

export const startTemplate = (labId: string) =>
  post(`${labId}/virtualMachines/0/start`, kLabServices);

export const stopTemplate = (labId: string) =>
  post(`${labId}/virtualMachines/0/stop`, kLabServices);

export const exportTemplate = (labAccountId: string, labId: string, imageName: string) =>
  post(`${labAccountId}/saveImage`, kLabServices, {
    name: imageName,
    labVirtualMachineId: `${labId}/virtualMachines/0`,
  });

export const cancelOperation = (subscription: string, operation: string) =>
  post(
    `/subscriptions/${subscription}/providers/Microsoft.LabServices/operationResults/${operation}/cancel`,
    kLabServices,
  );

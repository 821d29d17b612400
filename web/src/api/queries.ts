// Every read of the portal: the key, the call, how often it is repeated. Server state lives here and nowhere else.

import { queryOptions } from '@tanstack/react-query';
import { parseId } from './ids';
import { ApiError, get, getAll, getPage, kCompute, kLabServices, kSubscriptions } from './client';
import type {
  Gallery,
  ImageVersion,
  Lab,
  LabPlan,
  Operation,
  Page,
  PlanImage,
  Region,
  Subscription,
  VirtualMachine,
  VmSize,
} from './types';

const kBusyMs = 1000;
const kIdleMs = 5000;

export const kFinal = new Set(['Succeeded', 'Failed', 'Canceled']);

export function isUnfinished(operation: Operation): boolean {
  return !kFinal.has(operation.status);
}

function isSettled(state: string | undefined): boolean {
  return state === undefined || kFinal.has(state);
}

export const subscriptionsQuery = queryOptions({
  queryKey: ['subscriptions'],
  queryFn: ({ signal }) => getAll<Subscription>('/subscriptions', kSubscriptions, signal),
  staleTime: 60_000,
});

export const labAccountsQuery = (subscriptions: string[]) =>
  queryOptions({
    queryKey: ['labAccounts', subscriptions],
    queryFn: async ({ signal }) => {
      const lists = await Promise.all(
        subscriptions.map((id) =>
          getAll<LabPlan>(
            `/subscriptions/${id}/providers/Microsoft.LabServices/labPlans`,
            kLabServices,
            signal,
          ),
        ),
      );
      return lists.flat();
    },
    staleTime: 10_000,
  });

export const labAccountQuery = (id: string) =>
  queryOptions({
    queryKey: ['labAccount', id.toLowerCase()],
    queryFn: ({ signal }) => get<LabPlan>(id, kLabServices, {}, signal),
    refetchInterval: ({ state }) =>
      isSettled(state.data?.properties.provisioningState) ? false : kBusyMs,
  });

export const regionsQuery = (subscription: string) =>
  queryOptions({
    queryKey: ['regions', subscription],
    queryFn: ({ signal }) =>
      getAll<Region>(`/subscriptions/${subscription}/locations`, kSubscriptions, signal),
    staleTime: 3_600_000,
  });

export const sizesQuery = (subscription: string) =>
  queryOptions({
    queryKey: ['sizes', subscription],
    queryFn: ({ signal }) =>
      getAll<VmSize>(
        `/subscriptions/${subscription}/providers/Microsoft.LabServices/skus`,
        kLabServices,
        signal,
      ),
    staleTime: 3_600_000,
  });

export const galleriesQuery = (subscription: string) =>
  queryOptions({
    queryKey: ['galleries', subscription],
    queryFn: ({ signal }) =>
      getAll<Gallery>(
        `/subscriptions/${subscription}/providers/Microsoft.Compute/galleries`,
        kCompute,
        signal,
      ),
  });

export const planImagesQuery = (labAccountId: string) =>
  queryOptions({
    queryKey: ['planImages', labAccountId.toLowerCase()],
    // The hidden ones too: the portal says why they cannot be used.
    queryFn: ({ signal }) =>
      getAll<PlanImage>(`${labAccountId}/images`, kLabServices, signal, { includeHidden: 'true' }),
    refetchInterval: kIdleMs,
  });

/** One version with its replication state per region; asked again quickly while a copy is on its way. */
export const versionQuery = (definitionId: string, version: string) =>
  queryOptions({
    queryKey: ['version', definitionId.toLowerCase(), version],
    queryFn: ({ signal }) =>
      get<ImageVersion>(
        `${definitionId}/versions/${version}`,
        kCompute,
        { $expand: 'ReplicationStatus' },
        signal,
      ),
    refetchInterval: ({ state }) => {
      const aggregated = state.data?.properties.replicationStatus?.aggregatedState;
      return aggregated === 'Completed' || aggregated === 'Failed' ? 30_000 : 2000;
    },
  });

export const labsQuery = (subscription: string) =>
  queryOptions({
    queryKey: ['labs', subscription],
    queryFn: ({ signal }) =>
      getAll<Lab>(
        `/subscriptions/${subscription}/providers/Microsoft.LabServices/labs`,
        kLabServices,
        signal,
      ),
    refetchInterval: ({ state }) =>
      state.data?.every((lab) => isSettled(lab.properties.provisioningState)) === false
        ? 2000
        : 10_000,
  });

export const labQuery = (id: string) =>
  queryOptions({
    queryKey: ['lab', id.toLowerCase()],
    queryFn: ({ signal }) => get<Lab>(id, kLabServices, {}, signal),
    refetchInterval: ({ state }) =>
      isSettled(state.data?.properties.provisioningState) ? kIdleMs : kBusyMs,
  });

/** The template VM, or null while the lab has none yet. */
export const templateVmQuery = (labId: string) =>
  queryOptions({
    queryKey: ['templateVm', labId.toLowerCase()],
    queryFn: async ({ signal }) => {
      try {
        return await get<VirtualMachine>(`${labId}/virtualMachines/0`, kLabServices, {}, signal);
      } catch (problem) {
        if (problem instanceof ApiError && problem.status === 404) return null;
        throw problem;
      }
    },
    refetchInterval: ({ state }) => {
      const vm = state.data?.properties.state;
      return vm === 'Running' || vm === 'Stopped' ? 3000 : kBusyMs;
    },
  });

const operationsPath = (subscription: string) =>
  `/subscriptions/${subscription}/providers/Microsoft.LabServices/operationResults`;

/** The newest operations. Running ones are asked for each second; else every five, to see what others start. */
export const operationsQuery = (subscription: string) =>
  queryOptions({
    queryKey: ['operations', subscription],
    queryFn: ({ signal }) =>
      getPage<Operation>(operationsPath(subscription), kLabServices, undefined, signal),
    refetchInterval: ({ state }) => (state.data?.value.some(isUnfinished) ? kBusyMs : kIdleMs),
    refetchIntervalInBackground: false,
  });

/** The newest operations on one lab and its template VM. */
export const labOperationsQuery = (labId: string) =>
  queryOptions({
    queryKey: ['operations', 'lab', labId.toLowerCase()],
    queryFn: ({ signal }) =>
      getPage<Operation>(
        operationsPath(parseId(labId).subscription),
        kLabServices,
        undefined,
        signal,
        { $filter: `targetId eq '${labId}'` },
      ),
    refetchInterval: ({ state }) => (state.data?.value.some(isUnfinished) ? kBusyMs : 2000),
  });

export function moreOperations(subscription: string, nextLink: string): Promise<Page<Operation>> {
  return getPage<Operation>(operationsPath(subscription), kLabServices, nextLink);
}

export const operationQuery = (subscription: string, name: string) =>
  queryOptions({
    queryKey: ['operation', subscription, name],
    queryFn: ({ signal }) =>
      get<Operation>(`${operationsPath(subscription)}/${name}`, kLabServices, {}, signal),
    refetchInterval: ({ state }) =>
      state.data !== undefined && !isUnfinished(state.data) ? false : kBusyMs,
  });

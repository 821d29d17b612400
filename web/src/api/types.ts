// The shapes of the REST API that the portal reads and writes. Written by hand for now.

export type ProvisioningState =
  'Creating' | 'Updating' | 'Deleting' | 'Succeeded' | 'Failed' | 'Locked';

export interface Page<T> {
  value: T[];
  nextLink?: string | null;
}

export interface Resource<P> {
  id: string;
  name: string;
  type: string;
  location?: string;
  tags?: Record<string, string>;
  properties: P;
}

export interface Subscription {
  id: string;
  subscriptionId: string;
  displayName: string;
  tenantId?: string;
}

export interface Region {
  name: string;
  displayName: string;
  metadata?: { geography?: string; geographyGroup?: string };
}

export interface ResourceOperationError {
  timestamp?: string;
  code?: string;
  message?: string;
  action?: string;
}

export type LabPlan = Resource<{
  sharedGalleryId?: string | null;
  allowedRegions?: string[];
  provisioningState?: ProvisioningState;
}>;

export type Gallery = Resource<{
  description?: string;
  provisioningState?: ProvisioningState;
}>;

export type OsState = 'Generalized' | 'Specialized';
export type EnabledState = 'Enabled' | 'Disabled';

export type PlanImage = Resource<{
  displayName?: string;
  description?: string;
  osType?: 'Linux' | 'Windows';
  osState?: OsState;
  enabledState?: EnabledState;
  version?: string;
  availableRegions?: string[];
  sharedGalleryId?: string;
  provisioningState?: ProvisioningState;
}>;

export interface RegionReplication {
  region: string;
  state: 'Unknown' | 'Replicating' | 'Completed' | 'Failed';
  details?: string;
  progress?: number;
}

export type ImageVersion = Resource<{
  provisioningState?: ProvisioningState;
  publishingProfile?: { targetRegions?: { name: string }[]; publishedDate?: string };
  storageProfile?: { osDiskImage?: { sizeInGB?: number } };
  replicationStatus?: { aggregatedState: string; summary: RegionReplication[] };
}>;

export interface ImageReference {
  id?: string;
  exactVersion?: string;
  publisher?: string;
  offer?: string;
  sku?: string;
  version?: string;
}

export type Lab = Resource<{
  title?: string;
  description?: string;
  labPlanId?: string;
  state?: 'Draft' | 'Publishing' | 'Scaling' | 'Syncing' | 'Published';
  provisioningState?: ProvisioningState;
  resourceOperationError?: ResourceOperationError;
  virtualMachineProfile?: {
    imageReference?: ImageReference;
    sku?: { name: string; capacity?: number };
    adminUser?: { username: string };
    usageQuota?: string;
    osType?: string;
  };
}>;

export type VmState =
  | 'Stopped'
  | 'Starting'
  | 'Running'
  | 'Stopping'
  | 'ResettingPassword'
  | 'Reimaging'
  | 'Redeploying';

export type VirtualMachine = Resource<{
  state?: VmState;
  vmType?: 'User' | 'Template';
  provisioningState?: ProvisioningState;
  connectionProfile?: { sshAuthority?: string; adminUsername?: string };
}>;

export interface VmSize {
  name: string;
  size?: string;
  tier?: string;
  locations?: string[];
  capabilities?: { name: string; value: string }[];
}

/** How the bytes of an exported disk hang together. */
export type ConsistencyMode = 'Stopped' | 'FileSystemConsistent' | 'CrashConsistent';

export type OperationStatus = 'NotStarted' | 'InProgress' | 'Succeeded' | 'Failed' | 'Canceled';

export interface OperationProgress {
  phase?: string;
  bytesDone?: number;
  bytesTotal?: number;
  newBytes?: number;
  knownBytes?: number;
  bytesPerSecond?: number;
  etaSeconds?: number | null;
  updatedAt?: string;
}

export interface Operation {
  id: string;
  name: string;
  status: OperationStatus;
  startTime?: string;
  endTime?: string;
  percentComplete?: number;
  error?: { code?: string; message?: string };
  properties?: {
    kind?: string;
    targetId?: string;
    resourceId?: string;
    createdBy?: string;
    cancelRequested?: boolean;
    consistencyMode?: ConsistencyMode;
    progress?: OperationProgress;
  };
}

import { useQuery } from '@tanstack/react-query';
import { isWithin } from '../../api/ids';
import { isUnfinished, operationsQuery } from '../../api/queries';
import type { Operation } from '../../api/types';

const kNone: Operation[] = [];

/** The newest operations of the subscription, newest first. */
export function useOperations(subscription: string): Operation[] {
  return useQuery(operationsQuery(subscription)).data?.value ?? kNone;
}

export interface LabOperations {
  /** What runs or waits on this lab or its template VM now. */
  running: Operation | undefined;
  /** The newest export of this lab's template, whatever became of it. */
  lastExport: Operation | undefined;
  /** The newest operation, if it has failed and nothing came after it. */
  failed: Operation | undefined;
}

export function labOperations(operations: Operation[], labId: string): LabOperations {
  const mine = operations.filter((each) => isWithin(each.properties?.targetId, labId));
  const newest = mine[0];
  return {
    running: mine.find(isUnfinished),
    lastExport: mine.find((each) => each.properties?.kind === 'ExportImage'),
    failed:
      newest?.status === 'Failed' && newest.properties?.kind !== 'ExportImage' ? newest : undefined,
  };
}

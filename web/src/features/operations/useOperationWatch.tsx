import { Toast, ToastBody, ToastTitle, useToastController } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { isUnfinished } from '../../api/queries';
import type { Operation } from '../../api/types';
import { kToaster } from '../../app/toaster';
import { TextLink } from '../../ui/TextLink';
import { kindText, targetName } from './wording';

/** When an operation that this page saw running ends: reads again what it may have changed, and shows a toast. */
export function useOperationWatch(operations: Operation[]) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const { dispatchToast } = useToastController(kToaster);
  const running = useRef(new Set<string>());
  useEffect(() => {
    const ended = operations.filter(
      (each) => !isUnfinished(each) && running.current.has(each.name),
    );
    running.current = new Set(operations.filter(isUnfinished).map((each) => each.name));
    if (ended.length === 0) return;
    for (const key of ['labs', 'lab', 'templateVm', 'planImages', 'galleries', 'version']) {
      void queryClient.invalidateQueries({ queryKey: [key] });
    }
    for (const each of ended.slice(0, 3)) {
      const name = targetName(each);
      dispatchToast(
        <Toast>
          <ToastTitle>{`${kindText(t, each)}: ${t(`operation.status.${each.status}`)}`}</ToastTitle>
          <ToastBody subtitle={each.error?.message ?? null}>
            <TextLink to={`/operations/${each.name}`}>{name}</TextLink>
          </ToastBody>
        </Toast>,
        {
          intent: each.status === 'Succeeded' ? 'success' : each.status === 'Failed' ? 'error' : 'info',
          timeout: each.status === 'Failed' ? 15_000 : 6000,
        },
      );
    }
  }, [operations, queryClient, dispatchToast, t]);
}

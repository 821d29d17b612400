import { useMutation, useQueryClient } from '@tanstack/react-query';
import { exportTemplate, startTemplate, stopTemplate } from '../../api/commands';
import type { Lab } from '../../api/types';

/** Start, stop and export; each ends when the server has accepted it, the rest is seen in the operations. */
export function useTemplateCommands(lab: Lab) {
  const queryClient = useQueryClient();
  const onSettled = () =>
    Promise.all(
      ['operations', 'templateVm', 'lab'].map((key) =>
        queryClient.invalidateQueries({ queryKey: [key] }),
      ),
    );
  const start = useMutation({ mutationFn: () => startTemplate(lab.id), onSettled });
  const stop = useMutation({ mutationFn: () => stopTemplate(lab.id), onSettled });
  const saveImage = useMutation({
    mutationFn: (imageName: string) =>
      exportTemplate(lab.properties.labPlanId ?? '', lab.id, imageName),
    onSettled,
  });
  return { start, stop, saveImage };
}

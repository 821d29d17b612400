import { useQueryClient } from '@tanstack/react-query';
import { attachGallery } from '../../api/commands';

/** Attaches a gallery to the lab account, or detaches with null, and reads again what that changes. */
export function useAttach(accountId: string) {
  const queryClient = useQueryClient();
  return async (galleryId: string | null) => {
    await attachGallery(accountId, galleryId);
    await Promise.all(
      ['labAccount', 'labAccounts', 'planImages', 'galleries'].map((key) =>
        queryClient.invalidateQueries({ queryKey: [key] }),
      ),
    );
  };
}

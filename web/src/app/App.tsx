import { FluentProvider, makeStaticStyles } from '@fluentui/react-components';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { useMemo } from 'react';
import { RouterProvider } from 'react-router';
import { ApiError } from '../api/client';
import { routes } from './routes';
import { useTheme } from './theme';

const useStaticStyles = makeStaticStyles([
  { body: { margin: 0 } },
  { body: { lineHeight: 1.5 } },
  {
    '@media (prefers-reduced-motion: reduce)': {
      '*, *::before, *::after': {
        animationDuration: '0.01ms !important',
        animationIterationCount: '1 !important',
        transitionDuration: '0.01ms !important',
      },
    },
  },
]);

function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // What the server has refused it will refuse again; a server that restarts answers soon.
        retry: (failures, error) =>
          !(error instanceof ApiError && error.status >= 400 && error.status < 500) && failures < 3,
        retryDelay: 1000,
      },
      mutations: { retry: false },
    },
  });
}

export function App() {
  useStaticStyles();
  const { theme } = useTheme();
  const queryClient = useMemo(() => newQueryClient(), []);
  return (
    <FluentProvider theme={theme} style={{ minHeight: '100dvh' }}>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={routes} />
      </QueryClientProvider>
    </FluentProvider>
  );
}

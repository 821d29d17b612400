import { createBrowserRouter, Navigate } from 'react-router';
import { RouteProblem } from './RouteProblem';

// No path here may begin with a word of the API: subscriptions, providers, tenants, metadata, adfs, uploads.
export const routes = createBrowserRouter([
  {
    path: '/sign-in',
    ErrorBoundary: RouteProblem,
    HydrateFallback: () => null,
    lazy: async () => ({ Component: (await import('../features/session/SignInPage')).SignInPage }),
  },
  {
    ErrorBoundary: RouteProblem,
    HydrateFallback: () => null,
    lazy: async () => ({ Component: (await import('./Shell')).Shell }),
    children: [
      { index: true, element: <Navigate to="/labs" replace /> },
      {
        path: 'labs',
        lazy: async () => ({ Component: (await import('../features/labs/LabsPage')).LabsPage }),
      },
      {
        path: 'labs/new',
        lazy: async () => ({ Component: (await import('../features/labs/NewLabPage')).NewLabPage }),
      },
      {
        path: 'labs/:subscription/:group/:lab/template',
        lazy: async () => ({
          Component: (await import('../features/template/TemplatePage')).TemplatePage,
        }),
      },
      {
        path: 'lab-account/gallery',
        lazy: async () => ({
          Component: (await import('../features/gallery/GalleryPage')).GalleryPage,
        }),
      },
      {
        path: 'operations',
        lazy: async () => ({
          Component: (await import('../features/operations/OperationsPage')).OperationsPage,
        }),
      },
      {
        path: 'operations/:operation',
        lazy: async () => ({
          Component: (await import('../features/operations/OperationPage')).OperationPage,
        }),
      },
      { path: '*', lazy: async () => ({ Component: (await import('./NotFoundPage')).NotFoundPage }) },
    ],
  },
]);

export const kToaster = 'atelier-toaster';

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// `npm run dev` shows the portal from source and passes the API on to ATELIER_URL (a running atelierd or the fixture).
const api = process.env.ATELIER_URL ?? 'http://127.0.0.1:8099';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    manifest: 'manifest.json', // scripts/check_size.mjs reads which files the first load needs
    chunkSizeWarningLimit: 600,
    assetsInlineLimit: 0, // the content security policy allows no data: URLs
  },
  server: {
    port: 5173,
    proxy: Object.fromEntries(
      ['/adfs', '/metadata', '/subscriptions', '/tenants', '/uploads'].map((path) => [
        path,
        { target: api, secure: false, changeOrigin: true },
      ]),
    ),
  },
  test: {
    environment: 'jsdom',
    setupFiles: ['src/test_setup.ts'],
    include: ['src/**/*.test.{ts,tsx}'],
    testTimeout: 20_000,
  },
});

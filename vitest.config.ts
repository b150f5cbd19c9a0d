import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'client', root: 'client/js', include: ['test/**/*.test.ts', 'test/**/*.test.tsx'], environment: 'node', testTimeout: 60_000, hookTimeout: 60_000 } },
      { extends: './web/vite.config.ts', test: { name: 'console', root: 'web', include: ['test/**/*.test.ts', 'test/**/*.test.tsx'], environment: 'happy-dom', testTimeout: 60_000, hookTimeout: 60_000 } },
    ],
  },
});

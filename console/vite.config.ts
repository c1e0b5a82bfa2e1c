import { svelte } from '@sveltejs/vite-plugin-svelte';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

/** Writes a compressed file beside each file of the build, for browsers that accept it. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    // The last step: chunks are changed until they are written.
    writeBundle(options, bundle) {
      const directory = options.dir ?? 'dist';
      for (const name of Object.keys(bundle).filter((name) => /\.(js|css|html)$/.test(name))) {
        writeFileSync(join(directory, `${name}.gz`), gzipSync(readFileSync(join(directory, name)), { level: 9 }));
      }
    },
  };
}

// The pages name their base, so that one build serves /console/ and /portal/ alike.
export default defineConfig({
  base: './',
  plugins: [svelte(), compressed()],
  build: {
    target: 'es2022',
    // A file that is inlined as `data:` would not be covered by the policy of the pages.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: 'manifest.json',
    rolldownOptions: { input: { console: 'console.html', portal: 'portal.html', docs: 'docs.html' } },
  },
  server: {
    proxy: { '/v1': { target: process.env.TOLLGATE_API ?? 'http://127.0.0.1:8090' } },
  },
});

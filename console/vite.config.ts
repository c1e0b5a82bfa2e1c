import { svelte } from '@sveltejs/vite-plugin-svelte';
import { gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

/** Writes a compressed file beside each file of the build, for browsers that accept it. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    generateBundle(_options, bundle) {
      for (const [name, file] of Object.entries(bundle)) {
        const source = file.type === 'chunk' ? file.code : file.source;
        this.emitFile({ type: 'asset', fileName: `${name}.gz`, source: gzipSync(source, { level: 9 }) });
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
    rolldownOptions: { input: { console: 'console.html', portal: 'portal.html' } },
  },
  server: {
    proxy: { '/v1': { target: process.env.TOLLGATE_API ?? 'http://127.0.0.1:8090' } },
  },
});

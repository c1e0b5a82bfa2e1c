/** What a browser loads before a page shows: a limit for each of the two. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const DIST = join(import.meta.dirname, '../dist');
const MOST_BYTES = 100 * 1024;

interface Chunk {
  file: string;
  imports?: string[];
}

test.each(['console.html', 'portal.html'])('scripts of %s take at most 100 KB before it shows', (entry) => {
  expect(existsSync(join(DIST, 'manifest.json')), 'run make console first').toBe(true);
  const manifest = JSON.parse(readFileSync(join(DIST, 'manifest.json'), 'utf8')) as Record<string, Chunk>;
  const seen = new Set<string>();
  const visit = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    manifest[name]?.imports?.forEach(visit);
  };
  visit(entry);
  const bytes = [...seen].reduce((total, name) => total + statSync(join(DIST, `${manifest[name]?.file}.gz`)).size, 0);
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThanOrEqual(MOST_BYTES);
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EVENTS } from './events';

test('every type of event that the program knows can be chosen, and no other', () => {
  const source = readFileSync(join(import.meta.dirname, '../../../common/src/event/mod.rs'), 'utf8');
  const known = [...source.matchAll(/^ {4}\w+ = "([a-z_.]+)",$/gm)].map((match) => match[1]);
  expect(known.length).toBeGreaterThan(10);
  expect(known).toEqual([...EVENTS]);
});

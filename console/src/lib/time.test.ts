import { expect, test } from 'vitest';
import { dateTime, monthEnd, period } from './time';

test('month ends on the clock of the zone, also across a change of clocks', () => {
  expect(monthEnd(new Date('2026-12-15T00:00:00Z'), 'UTC').toISOString()).toBe('2027-01-01T00:00:00.000Z');
  expect(monthEnd(new Date('2026-03-15T00:00:00Z'), 'Europe/Berlin').toISOString()).toBe('2026-03-31T22:00:00.000Z');
  expect(monthEnd(new Date('2026-10-15T00:00:00Z'), 'Europe/Berlin').toISOString()).toBe('2026-10-31T23:00:00.000Z');
  expect(monthEnd(new Date('2026-11-30T23:30:00Z'), 'Asia/Tokyo').toISOString()).toBe('2026-12-31T15:00:00.000Z');
});

test('times name their zone, and a period ends on its last day', () => {
  expect(dateTime('2026-07-01T10:00:00Z', 'Europe/Berlin', 'en-GB')).toMatch(/12:00 (CEST|GMT\+2)$/);
  expect(period('2026-10-31T23:00:00Z', '2026-11-30T23:00:00Z', 'Europe/Berlin', 'en-GB')).toMatch(/^1\s*–\s*30 Nov 2026$/);
});

import { expect, test } from 'vitest';
import { diff } from './diff';

const PLAN = { id: 'a', flat_fee: '1.00', charges: [{ meter: 'requests', included: 5, tiers: [{ up_to: 10 }] }], quotas: [] };

test('members that differ are named with both values, and others are not', () => {
  const next = { ...PLAN, flat_fee: '2.00', charges: [{ meter: 'requests', included: 6, tiers: [{ up_to: 10 }, { up_to: 20 }] }] };
  expect(diff(PLAN, next)).toEqual([
    { path: 'flat_fee', before: '1.00', after: '2.00' },
    { path: 'charges.0.included', before: '5', after: '6' },
    { path: 'charges.0.tiers.1', before: undefined, after: '{"up_to":20}' },
  ]);
});

test('members that are left out, null or empty are the same', () => {
  expect(diff(PLAN, { id: 'a', flat_fee: '1.00', charges: PLAN.charges, limits: {}, prepaid: null })).toEqual([]);
  expect(diff(undefined, undefined)).toEqual([]);
  expect(diff({ a: null }, { a: 0 })).toEqual([{ path: 'a', before: undefined, after: '0' }]);
});

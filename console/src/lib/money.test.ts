import { expect, test } from 'vitest';
import { fromMinor, money, projected, sum, toMinor } from './money';

test('amounts keep every digit, whatever their size and currency', () => {
  expect(fromMinor(12345, 'USD')).toBe('123.45');
  expect(fromMinor(-5, 'USD')).toBe('-0.05');
  expect(fromMinor(12345, 'JPY')).toBe('12345');
  expect(fromMinor(1234567, 'KWD')).toBe('1234.567');
  expect(money('9007199254740993.01', 'USD', 'en-GB')).toContain('9,007,199,254,740,993.01');
});

test('text becomes minor units only if it is an amount of the currency', () => {
  expect(toMinor('75.5', 'USD')).toBe(7550);
  expect(toMinor('75,50', 'EUR')).toBe(7550);
  for (const text of ['', '1.234', '-1', '1e3', '1.2.3', 'NaN', '99999999999999']) expect(toMinor(text, 'USD')).toBeUndefined();
  expect(toMinor('1.5', 'JPY')).toBeUndefined();
});

test('sums and projections are exact', () => {
  expect(sum([{ amount: '0.10', minor: 10 }, { amount: '0.20', minor: 20 }], 'USD', 'en-GB')).toContain('0.30');
  expect(projected(100, 1, 3)).toBe(300n);
  expect(projected(100, 0, 3)).toBe(100n);
});

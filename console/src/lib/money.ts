/**
 * Money, without a float anywhere: amounts are decimal texts of the API or whole minor units, and sums
 * are whole numbers of minor units.
 */

export interface Amount {
  amount: string;
  minor: number;
}

/** Decimal places of a currency, as in 2 for USD and 0 for JPY. */
export function places(currency: string): number {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
}

/** The decimal text of whole minor units: 12345 in USD is 123.45. */
export function fromMinor(minor: number | bigint, currency: string): string {
  const digits = places(currency);
  const whole = BigInt(minor);
  const text = (whole < 0n ? -whole : whole).toString().padStart(digits + 1, '0');
  const sign = whole < 0n ? '-' : '';
  return digits === 0 ? sign + text : `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** Whole minor units of a decimal text; undefined if it is not an amount of the currency. */
export function toMinor(text: string, currency: string): number | undefined {
  const match = /^(\d{1,13})(?:[.,](\d+))?$/.exec(text.trim());
  const digits = places(currency);
  const fraction = match?.[2] ?? '';
  if (!match || fraction.length > digits) return undefined;
  const minor = BigInt(match[1] + fraction.padEnd(digits, '0'));
  return minor <= 10_000_000_000_000n ? Number(minor) : undefined;
}

/** An amount for people, in the form of their language. */
export function money(amount: string, currency: string, locale: string): string {
  // A text is formatted digit by digit.
  const format = new Intl.NumberFormat(locale, { style: 'currency', currency, currencyDisplay: 'code' });
  return format.format(amount as `${number}`);
}

/** The sum of amounts of one currency, for people. */
export function sum(amounts: readonly Amount[], currency: string, locale: string): string {
  const total = amounts.reduce((sum, one) => sum + BigInt(one.minor), 0n);
  return money(fromMinor(total, currency), currency, locale);
}

/** `now` scaled from the part of a period that has passed to all of it; whole minor units. */
export function projected(minor: number, passedMs: number, wholeMs: number): bigint {
  if (passedMs <= 0) return BigInt(minor);
  return (BigInt(minor) * BigInt(Math.round(wholeMs))) / BigInt(Math.round(passedMs));
}

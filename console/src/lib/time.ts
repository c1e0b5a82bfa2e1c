/** Times for people: always with the zone that they are in. */

export function dateTime(instant: string, zone: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, {
    dateStyle: 'medium',
    timeStyle: 'short',
    timeZone: zone,
  }).format(new Date(instant)) + ` ${zoneName(instant, zone, locale)}`;
}

export function date(instant: string, zone: string, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone: zone }).format(new Date(instant));
}

export function zoneName(instant: string, zone: string, locale: string): string {
  const parts = new Intl.DateTimeFormat(locale, { timeZone: zone, timeZoneName: 'short' }).formatToParts(new Date(instant));
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? zone;
}

/** The half-open period for people: its first day up to its last. */
export function period(start: string, end: string, zone: string, locale: string): string {
  const last = new Date(new Date(end).getTime() - 1);
  const format = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone: zone });
  return format.formatRange(new Date(start), last);
}

/** How long ago or ahead an instant is, in one unit. */
export function distance(instant: string, now: number, locale: string): string {
  const seconds = Math.round((new Date(instant).getTime() - now) / 1000);
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const units: [Intl.RelativeTimeFormatUnit, number][] = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ];
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(seconds, 'second');
}

/** The first instant after the current month on the clock of a zone. */
export function monthEnd(now: Date, zone: string): Date {
  const parts = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit' }).formatToParts(now);
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value);
  const [year, month] = [part('year'), part('month')];
  const guess = Date.UTC(month === 12 ? year + 1 : year, month % 12, 1);
  // The zone's clock differs from UTC by less than a day; a second step settles changes of clocks.
  const once = guess - offset(new Date(guess), zone);
  return new Date(guess - offset(new Date(once), zone));
}

function offset(at: Date, zone: string): number {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
  const parts = format.formatToParts(at);
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value);
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
  return local - Math.floor(at.getTime() / 1000) * 1000;
}

/** Words of the pages, in English and German. A missing German word breaks the build. */
import { de } from './words/de';
import { en, type Words } from './words/en';

export type Language = 'en' | 'de';
const KEY = 'tollgate-language';
const WORDS: Record<Language, Words> = { en, de };

class LanguageState {
  now = $state<Language>('en');

  /** Takes what somebody chose before, else the first of these languages that there is. */
  begin(wanted: readonly (string | undefined)[]): void {
    const stored = localStorage.getItem(KEY) ?? undefined;
    const found = [stored, ...wanted].map((one) => one?.slice(0, 2)).find((one) => one === 'en' || one === 'de');
    this.set((found as Language | undefined) ?? 'en');
  }

  choose(language: Language): void {
    localStorage.setItem(KEY, language);
    this.set(language);
  }

  private set(language: Language): void {
    this.now = language;
    document.documentElement.lang = language;
  }

  /** The form of numbers and dates. */
  get locale(): string {
    return this.now === 'de' ? 'de-DE' : 'en-GB';
  }
}

export const language = new LanguageState();

/** A text with values in the place of `{name}`. */
export function t(key: keyof Words, values: Record<string, string | number> = {}): string {
  return WORDS[language.now][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export function count(number: number | bigint): string {
  return new Intl.NumberFormat(language.locale).format(number);
}

/** Light or dark: as the system says, until somebody chooses. */

type Theme = 'light' | 'dark';
const KEY = 'tollgate-theme';

function preferred(): Theme {
  const stored = localStorage.getItem(KEY);
  if (stored === 'light' || stored === 'dark') return stored;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

class ThemeState {
  now = $state<Theme>(preferred());

  apply(): void {
    document.documentElement.dataset.theme = this.now;
  }

  toggle(): void {
    this.now = this.now === 'light' ? 'dark' : 'light';
    localStorage.setItem(KEY, this.now);
    this.apply();
  }
}

export const theme = new ThemeState();
theme.apply();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  theme.now = preferred();
  theme.apply();
});

/** Paints the page in the colour of a seller, with text that can be read on it. */
export function paint(colour: string | undefined): void {
  const root = document.documentElement.style;
  if (!colour || !/^#[0-9a-f]{6}$/i.test(colour)) {
    root.removeProperty('--accent');
    root.removeProperty('--on-accent');
    return;
  }
  root.setProperty('--accent', colour);
  root.setProperty('--on-accent', luminance(colour) > 0.18 ? '#000000' : '#ffffff');
}

/** Relative luminance by WCAG: above 0.18, black text has more contrast than white. */
function luminance(colour: string): number {
  const channel = (at: number) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

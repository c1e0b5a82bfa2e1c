/** Data of a screen: loaded, shown while it is loaded again, and kept fresh while somebody looks. */
import { Problem } from './api/client';
import { session } from './session.svelte';

/** Time without a key or a click after which a page asks for nothing more by itself. */
const IDLE_MS = 10 * 60_000;

let touched = Date.now();
for (const kind of ['pointerdown', 'keydown', 'wheel', 'touchstart']) {
  addEventListener(kind, () => (touched = Date.now()), { passive: true });
}

export class Loaded<T> {
  data = $state.raw<T | undefined>(undefined);
  problem = $state.raw<Problem | undefined>(undefined);
  loading = $state(false);
  #turn = 0;

  constructor(readonly load: () => Promise<T>) {}

  async refresh(): Promise<void> {
    const turn = ++this.#turn;
    this.loading = true;
    try {
      const data = await this.load();
      if (turn !== this.#turn) return;
      this.data = data;
      this.problem = undefined;
    } catch (error) {
      if (turn !== this.#turn) return;
      this.problem = error instanceof Problem ? error : new Problem(0, 'fault', String(error), null);
    }
    this.loading = false;
  }
}

/**
 * Loads by `load`, again whenever what it reads before its first wait changes, and every `everyMs` if
 * that is given.
 */
export function loaded<T>(load: () => Promise<T>, everyMs?: number): Loaded<T> {
  const one = new Loaded(load);
  $effect(() => {
    void one.refresh();
  });
  if (everyMs) {
    $effect(() => {
      let stopped = false;
      const timer = setInterval(() => {
        const seen = document.visibilityState === 'visible' && Date.now() - touched < IDLE_MS;
        // A request without a session would count as a failed login.
        if (seen && !stopped && !one.loading && !session.ended) void one.refresh();
      }, everyMs);
      return () => {
        stopped = true;
        clearInterval(timer);
      };
    });
  }
  return one;
}

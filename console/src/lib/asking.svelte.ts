/** The dialog of a list: what is asked, about which item, and what came of it. */
import type { Problem } from './api/client';
import { toast } from './toast.svelte';

export class Asking<Kind extends string, Item = undefined> {
  kind = $state<Kind | undefined>(undefined);
  item = $state.raw<Item | undefined>(undefined);
  open = $state(false);
  busy = $state(false);
  problem = $state.raw<Problem | undefined>(undefined);
  /** A secret that is shown this once. */
  secret = $state('');

  show(kind: Kind, item?: Item): void {
    this.kind = kind;
    this.item = item;
    this.secret = '';
    this.problem = undefined;
    this.busy = false;
    this.open = true;
  }

  /** Does what was asked for. The dialog stays if it failed, or if there is a secret to show. */
  async run(work: () => Promise<string | undefined>, done: string): Promise<void> {
    this.busy = true;
    this.problem = undefined;
    try {
      this.secret = (await work()) ?? '';
      if (!this.secret) {
        this.open = false;
        toast(done);
      }
    } catch (error) {
      this.problem = error as Problem;
    }
    this.busy = false;
  }
}

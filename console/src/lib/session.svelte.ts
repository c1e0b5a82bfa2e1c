/** Whoever is signed in, and what they may do. */
import { api, onSessionEnd, Problem, read, signIn, type Schemas } from './api/client';

const ROLES: Schemas['Role'][] = ['viewer', 'billing', 'admin', 'owner'];

class SessionState {
  me = $state.raw<Schemas['Me'] | undefined>(undefined);
  current = $state.raw<Schemas['Session'] | undefined>(undefined);
  tenant = $state.raw<Schemas['Tenant'] | undefined>(undefined);
  state = $state<'unknown' | 'out' | 'in'>('unknown');
  /** True if the session has ended while its page is open: the page stays, with what was filled in. */
  ended = $state(false);
  problem = $state.raw<Problem | undefined>(undefined);

  /** Redeems the link in the address, if there is one; then asks who is signed in. */
  async begin(): Promise<void> {
    onSessionEnd(() => this.end());
    // A link that is opened in the tab of a page changes its fragment alone.
    addEventListener('hashchange', () => void this.redeem());
    const told = new URLSearchParams(location.hash.slice(1));
    if (told.get('sign-in') === 'failed') {
      history.replaceState(null, '', location.pathname + location.search);
      await this.learn(true);
      const text = 'Your organisation did not sign you in. The log of billing says why.';
      if (this.state === 'out') this.problem = new Problem(401, 'refused', text, null);
      return;
    }
    if (!(await this.redeem())) await this.learn(true);
  }

  /** Redeems the link in the address; false if there is none. */
  private async redeem(): Promise<boolean> {
    const link = new URLSearchParams(location.hash.slice(1)).get('link');
    if (!link) return false;
    // Neither history nor a copied address keeps the secret.
    history.replaceState(null, '', location.pathname + location.search);
    await this.enter(link);
    return true;
  }

  async enter(credential: string): Promise<void> {
    this.problem = undefined;
    try {
      await signIn(credential.trim());
    } catch (error) {
      this.problem = error as Problem;
      if (!this.ended) this.state = 'out';
      return;
    }
    if (this.ended) await this.resume();
    else await this.learn(false);
  }

  /** Goes on with a page whose session had ended; loads it anew if somebody else is signed in now. */
  async resume(): Promise<void> {
    this.problem = undefined;
    try {
      const now = await read(api.GET('/v1/sessions/current'));
      if (now.tenant !== this.current?.tenant || now.role !== this.current.role) {
        location.reload();
        return;
      }
      this.current = now;
      this.ended = false;
    } catch (error) {
      this.problem = error as Problem;
    }
  }

  async learn(quiet: boolean): Promise<void> {
    try {
      this.current = await read(api.GET('/v1/sessions/current'));
      this.me = await read(api.GET('/v1/me'));
      const tenant = this.current.tenant;
      this.tenant = await read(api.GET('/v1/tenants/{tenant}', { params: { path: { tenant } } }));
      this.state = 'in';
    } catch (error) {
      const problem = error as Problem;
      this.state = 'out';
      if (!quiet && problem.status === 401 && location.protocol === 'http:') {
        this.problem = new Problem(401, 'insecure', 'Your browser did not keep the session: open this page by HTTPS.', null);
      } else if (!quiet || problem.status !== 401) {
        this.problem = problem;
      }
    }
  }

  async leave(everywhere = false): Promise<void> {
    try {
      if (everywhere) await read(api.DELETE('/v1/sessions'));
      else await read(api.DELETE('/v1/sessions/current'));
    } catch (error) {
      // Whoever is signed out already has what they wanted.
      if ((error as Problem).status !== 401) throw error;
    }
    this.forget();
  }

  /** Forgets whoever was signed in, and shows the sign-in in place of the page. */
  forget(): void {
    this.state = 'out';
    this.ended = false;
    this.problem = undefined;
    this.me = undefined;
    this.current = undefined;
  }

  end(): void {
    if (this.state === 'in' && !this.ended) {
      this.ended = true;
      this.problem = undefined;
    }
  }

  /** True if the role of whoever is signed in includes this one; the API decides in the end. */
  may(role: Schemas['Role']): boolean {
    return this.me !== undefined && ROLES.indexOf(this.me.role) >= ROLES.indexOf(role);
  }
}

export const session = new SessionState();

/** The path and query of the page: all of its state that a link has to carry. */

const base = new URL(document.baseURI).pathname;

class Route {
  path = $state('');
  query = $state.raw(new URLSearchParams());

  constructor() {
    this.update();
    addEventListener('popstate', () => this.update());
  }

  update(): void {
    this.path = location.pathname.slice(base.length).replace(/\/+$/, '');
    this.query = new URLSearchParams(location.search);
  }

  /** Parts of the path between slashes. */
  get parts(): string[] {
    return this.path.split('/');
  }
}

export const route = new Route();

/** Goes to a path of this app, as in `keys?cursor=..`. */
export function go(target: string, options: { replace?: boolean } = {}): void {
  const address = base + target;
  if (options.replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  const before = route.path;
  route.update();
  if (route.path !== before) {
    scrollTo(0, 0);
    // Whoever uses a screen reader begins at the new content.
    queueMicrotask(() => document.getElementById('content')?.focus({ preventScroll: true }));
  }
}

/** Changes members of the query; an empty value removes one. */
export function setQuery(changes: Record<string, string | undefined>, options: { replace?: boolean } = {}): void {
  const query = new URLSearchParams(route.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  go(route.path + (text ? `?${text}` : ''), options);
}

/** Lets links of this app change the path without loading the page again. */
export function followLinks(event: MouseEvent): void {
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const link = (event.target as Element).closest?.('a');
  if (!plain || event.defaultPrevented || !link || link.target || link.hasAttribute('download')) return;
  const address = new URL(link.href);
  if (address.origin !== location.origin || !address.pathname.startsWith(base)) return;
  if (address.hash && address.pathname === location.pathname && address.search === location.search) return;
  event.preventDefault();
  go(address.pathname.slice(base.length) + address.search);
}

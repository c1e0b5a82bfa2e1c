/** What changed between two documents, member by member: for people who are asked before it counts. */

export interface Change {
  /** The member, as in `charges.0.included`. */
  path: string;
  before: string | undefined;
  after: string | undefined;
}

/** Changes from one document to another, in the order of their members. Lists are compared by place. */
export function diff(before: unknown, after: unknown, path = ''): Change[] {
  if (isPlain(before) && isPlain(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((name) => diff(before[name], after[name], path ? `${path}.${name}` : name));
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const places = Array.from({ length: Math.max(before.length, after.length) }, (_, place) => place);
    return places.flatMap((place) => diff(before[place], after[place], `${path}.${place}`));
  }
  if (isSame(before, after)) return [];
  return [{ path, before: text(before), after: text(after) }];
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member that is left out is the same as null, and as a list or an object with nothing in it. */
function isSame(before: unknown, after: unknown): boolean {
  return text(before) === text(after);
}

function text(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && Object.keys(value).length === 0) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

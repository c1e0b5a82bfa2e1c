/** The one way to the API: typed by the OpenAPI document, with the session of this app. */
import createClient, { type Middleware } from 'openapi-fetch';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];
export type App = Schemas['App'];

/** An answer that is an error, in the words of the API. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly requestId: string | null,
  ) {
    super(detail);
  }
}

const app: App = location.pathname.startsWith('/portal') ? 'portal' : 'console';

/** Set by the page: called as soon as an answer says that the session has ended. */
let ended: () => void = () => {};

export function onSessionEnd(listener: () => void): void {
  ended = listener;
}

const session: Middleware = {
  onRequest({ request }) {
    request.headers.set('Tollgate-App', app);
    return request;
  },
};

export const api = createClient<paths>({ baseUrl: location.origin, credentials: 'same-origin' });
api.use(session);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The document of an answer; throws a `Problem` if the answer is an error. */
export async function read<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch {
    throw new Problem(0, 'unreachable', 'The server does not answer. Check the connection and try again.', null);
  }
  if (answer.response.ok) return answer.data as T;
  const problem = problemOf(answer.response, answer.error);
  if (problem.status === 401) ended();
  throw problem;
}

function problemOf(response: Response, body: unknown): Problem {
  const told = (typeof body === 'object' && body !== null ? body : {}) as { code?: string; detail?: string };
  const requestId = response.headers.get('x-request-id');
  const detail = told.detail ?? `The server answered ${response.status}.`;
  return new Problem(response.status, told.code ?? 'unknown', detail, requestId);
}

/** Exchanges a credential for a session, whose secret the browser keeps and no script sees. */
export async function signIn(credential: string): Promise<Schemas['Session']> {
  const headers = { Authorization: `Bearer ${credential}` };
  if (credential.startsWith('lnk_')) {
    return await read(api.POST('/v1/sessions/redeem', { headers }));
  }
  return await read(api.POST('/v1/sessions', { headers, body: { app } }));
}

type UsageQuery = NonNullable<paths['/v1/usage']['get']['parameters']['query']>;

/** A usage report: rows, as the API is asked for JSON. */
export async function usage(query: UsageQuery): Promise<{ items: Schemas['UsageRow'][]; next_cursor: string | null }> {
  const report = await read(api.GET('/v1/usage', { params: { query: { ...query, format: 'json' } } }));
  if (typeof report === 'string') throw new Problem(0, 'fault', 'The report is not JSON.', null);
  return report;
}

/** Saves a document that the API makes, such as a PDF or a CSV file. */
export async function download(path: string, name: string): Promise<void> {
  const response = await fetch(path, { headers: { 'Tollgate-App': app }, credentials: 'same-origin' });
  if (!response.ok) {
    const body: unknown = await response.json().catch(() => undefined);
    throw problemOf(response, body);
  }
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

/** What journeys share: the API as an operator uses it, and browsers that are signed in. */
import { expect, test as base, type Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Pages {
  billing: string;
  gateway: string;
  admin_key: string;
  root: string;
  reseller: string;
  customer: string;
  trial: string;
}

export const pages = JSON.parse(process.env.TOLLGATE_PAGES ?? '{}') as Pages;

/** Asks the API as the owner of the root. */
export async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { authorization: `Bearer ${pages.admin_key}`, 'content-type': 'application/json' };
  const answer = await fetch(pages.billing + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

export async function makeTenant(name: string, plan: string, parent = pages.reseller): Promise<string> {
  return (await api<{ id: string }>('POST', '/v1/tenants', { name, parent, plan, zone: 'Europe/Berlin' })).id;
}

export async function makeKey(tenant: string, name = 'test'): Promise<string> {
  return (await api<{ secret: string }>('POST', '/v1/keys', { tenant, name })).secret;
}

/** The address of a link that signs somebody in. */
export async function link(tenant: string, app: 'console' | 'portal' = 'portal', role = 'admin'): Promise<string> {
  const made = await api<{ url: string }>('POST', '/v1/portal/sessions', { tenant, app, role, user: 'test user' });
  return pages.billing + made.url;
}

/** Sends a request through the gateway, and gives its answer. */
export async function call(key: string, path = '/v1/hello'): Promise<Response> {
  return await fetch(pages.gateway + path, { headers: { 'x-api-key': key } });
}

/** Waits until the gateway answers a key in this way. */
export async function until(key: string, status: number): Promise<Response> {
  let answer = await call(key);
  await expect(async () => {
    answer = await call(key);
    expect(answer.status).toBe(status);
  }).toPass({ timeout: 30_000 });
  return answer;
}

/** Runs the real `billing` on the store of the deployment. */
export function billing(...options: string[]): string {
  const data = process.env.TOLLGATE_DATA ?? '';
  const environment = { ...process.env, TOLLGATE_PEPPER: readFileSync(join(data, 'pepper'), 'utf8').trim() };
  const store = ['--store', `sqlite://${join(data, 'tollgate.db')}`];
  return execFileSync(join(process.env.TOLLGATE_PROGRAMS ?? '', 'billing'), [...options, ...store], { env: environment, encoding: 'utf8' });
}

export async function signedIn(page: Page, app: 'console' | 'portal', tenant: string, role = app === 'console' ? 'owner' : 'admin'): Promise<void> {
  await page.goto(await link(tenant, app, role));
  await expect(page.getByRole('button', { name: /Sign out|Abmelden/ }).first()).toBeAttached();
}

/** A test that fails by an error of a script, a breach of the page's policy, or a request elsewhere. */
export const test = base.extend<{ watched: void }>({
  watched: [
    async ({ page }, use) => {
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(String(error)));
      page.on('dialog', (dialog) => {
        faults.push(`a dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) faults.push(message.text());
      });
      page.on('request', (request) => {
        const address = new URL(request.url());
        const own = address.origin === pages.billing || ['data:', 'blob:'].includes(address.protocol);
        if (!own) faults.push(`a request to ${address.origin}`);
      });
      await use();
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

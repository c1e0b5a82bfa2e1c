/** What nobody can do: with names of markup, with links that were used, and from elsewhere. */
import { api, expect, link, makeTenant, pages, signedIn, test } from './fixture';

const MARKUP = '<img src=x onerror=alert(1)>"\'--><script>alert(2)</script>{{7*7}}';

test('names that are markup are shown as text everywhere', async ({ page }) => {
  const tenant = await makeTenant(MARKUP, 'starter');
  await api('POST', '/v1/keys', { tenant, name: MARKUP });
  await api('POST', `/v1/tenants/${tenant}/webhook-endpoints`, { name: MARKUP, url: 'https://hooks.example.com/<script>' }).catch(() => undefined);
  await api('POST', '/v1/invoices', { issuer: pages.root, tenant, currency: 'USD', memo: MARKUP, lines: [{ description: MARKUP, amount: '1.00' }] });
  await api('POST', `/v1/tenants/${tenant}/wallet/grants`, { amount: 1, currency: 'USD', kind: 'paid', reason: MARKUP });
  await api('PUT', `/v1/tenants/${tenant}/billing-details`, { legal_name: MARKUP, address: { lines: [MARKUP], city: MARKUP, country: 'DE' } });
  await api('PUT', '/v1/plans', { plans: [{ id: 'markup', name: MARKUP, currency: 'USD', flat_fee: '1.00', charges: [] }] });
  const [invoice] = (await api<{ items: { id: string }[] }>('GET', `/v1/invoices?tenant=${tenant}`)).items;
  await signedIn(page, 'console', pages.root);
  for (const path of ['tenants', `tenants/${tenant}`, `tenants/${tenant}?tab=keys`, `tenants/${tenant}?tab=credit`, 'invoices', `invoices/${invoice?.id}`, 'audit', 'revenue', 'refusals', 'plans', `tenants/${tenant}?tab=invoices`, `tenants/${tenant}?tab=members`, 'run', 'payments']) {
    await page.goto(`${pages.billing}/console/${path}`);
    await expect(page.locator('#content .card').first()).toBeVisible();
    await expect(page.locator('img[src="x"], script:not([src])')).toHaveCount(0);
  }
  await page.goto(`${pages.billing}/console/tenants/${tenant}`);
  await expect(page.getByRole('heading', { name: MARKUP })).toBeVisible();
  await page.goto(await link(tenant));
  for (const path of ['', 'keys', 'webhooks', `invoices/${invoice?.id}`]) {
    await page.goto(`${pages.billing}/portal/${path}`);
    await expect(page.locator('#content .card').first()).toBeVisible();
    await expect(page.locator('img[src="x"], script:not([src])')).toHaveCount(0);
  }
});

test('link signs in once, leaves no trace in the address, and leads nowhere else', async ({ page, browser }) => {
  const address = await link(pages.customer);
  await page.goto(address);
  await expect(page.getByRole('button', { name: 'Sign out' })).toBeVisible();
  expect(page.url()).toBe(`${pages.billing}/portal/`);
  const other = await browser.newPage();
  await other.goto(address);
  await expect(other.getByRole('alert')).toContainText('used or has expired');
  await other.close();
  for (const path of ['//evil.example/', '/\\evil.example', '?back=https://evil.example/', '%2f%2fevil.example/']) {
    await page.goto(`${pages.billing}/portal/${path}`);
    expect(new URL(page.url()).origin).toBe(pages.billing);
  }
});

test('page of another origin gets no answer and changes nothing', async ({ request }) => {
  const made = await request.post(`${pages.billing}/v1/sessions`, {
    headers: { authorization: `Bearer ${pages.admin_key}` },
    data: { app: 'console' },
  });
  expect(made.ok()).toBe(true);
  const body = { data: { name: 'Forged', kind: 'root' } };
  const without = await request.post(`${pages.billing}/v1/tenants`, body);
  expect(without.status()).toBe(401);
  const cross = { 'tollgate-app': 'console', 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };
  const forged = await request.post(`${pages.billing}/v1/tenants`, { ...body, headers: cross });
  expect(forged.status()).toBe(403);
  const preflight = await request.fetch(`${pages.billing}/v1/tenants`, { method: 'OPTIONS', headers: { origin: 'https://evil.example', 'access-control-request-headers': 'tollgate-app' } });
  expect(preflight.headers()['access-control-allow-origin']).toBeUndefined();
});

test('session that ends elsewhere ends on the page', async ({ page }) => {
  const made = await api<{ secret: string; key: { id: string } }>('POST', '/v1/admin-keys', { tenant: pages.root, name: 'short', role: 'viewer' });
  await page.goto(`${pages.billing}/console/`);
  await page.getByLabel('Admin key').fill(made.secret);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Books' })).toBeVisible();
  await api('POST', `/v1/admin-keys/${made.key.id}/revoke`);
  const ended = page.getByRole('dialog', { name: 'Your session has ended' });
  await expect(ended).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(ended).toBeVisible();
  await ended.getByRole('button', { name: 'Leave the page' }).click();
  await expect(page.getByRole('heading', { name: 'Books' })).toHaveCount(0);
});

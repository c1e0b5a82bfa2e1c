/** What goes wrong while somebody works: sessions that end, servers that are away, names and numbers beyond measure. */
import { api, expect, link, makeTenant, pages, signedIn, test } from './fixture';

test('session that ends while a form is filled loses nothing', async ({ page, context }) => {
  const tenant = await makeTenant('Ended journey', 'starter');
  await signedIn(page, 'portal', tenant);
  await page.getByRole('link', { name: 'API keys' }).click();
  await page.getByRole('button', { name: 'Create a key' }).first().click();
  await page.getByLabel('Name').fill('written before');
  await page.getByLabel('Scopes').fill('read write');
  await context.clearCookies();
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  const ended = page.getByRole('dialog', { name: 'Your session has ended' });
  await expect(ended).toBeVisible();
  // The link is opened in another tab: the session is the browser's.
  const other = await context.newPage();
  await other.goto(await link(tenant));
  await expect(other.getByRole('button', { name: 'Sign out' })).toBeVisible();
  await ended.getByRole('button', { name: 'I am signed in again' }).click();
  await expect(ended).toHaveCount(0);
  await expect(page.getByLabel('Name')).toHaveValue('written before');
  await expect(page.getByLabel('Scopes')).toHaveValue('read write');
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  await expect(page.getByTestId('secret')).toContainText('sk_live_');
  await other.close();
});

test('sign-out in one tab reaches the other, which does not go on as somebody else', async ({ page, context }) => {
  const [one, two] = [await makeTenant('Tab one', 'starter'), await makeTenant('Tab two', 'starter')];
  await signedIn(page, 'portal', one);
  const other = await context.newPage();
  await other.goto(`${pages.billing}/portal/`);
  await other.getByRole('button', { name: 'Sign out' }).click();
  // The overview asks again by itself.
  await expect(page.getByRole('dialog', { name: 'Your session has ended' })).toBeVisible();
  await other.goto(await link(two));
  await expect(other.getByText('Tab two')).toBeVisible();
  await page.getByRole('button', { name: 'I am signed in again' }).click();
  await expect(page.getByText('Tab two')).toBeVisible();
  await expect(page.getByText('Tab one')).toHaveCount(0);
  await other.close();
});

test('server that is away leaves what was there, says so, and is found again', async ({ page, context }) => {
  await signedIn(page, 'portal', pages.customer);
  await expect(page.getByTestId('bill')).toBeVisible();
  await context.setOffline(true);
  await expect(page.getByRole('alert').first()).toContainText('The server does not answer');
  await expect(page.getByTestId('bill')).toBeVisible();
  await context.setOffline(false);
  await expect(page.getByText('The server does not answer')).toHaveCount(0);
});

test('store that takes no changes is told with the request, and the form stays', async ({ page }) => {
  const tenant = await makeTenant('Read-only journey', 'starter');
  await signedIn(page, 'portal', tenant);
  const detail = 'the store is read-only at the moment: nothing was changed';
  await page.route('**/v1/keys', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    return route.fulfill({
      status: 503,
      contentType: 'application/problem+json',
      headers: { 'x-request-id': 'req-of-a-journey', 'retry-after': '1' },
      body: JSON.stringify({ type: 'urn:tollgate:problem:store_unavailable', title: 'Store unavailable', status: 503, code: 'store_unavailable', detail }),
    });
  });
  await page.getByRole('link', { name: 'API keys' }).click();
  await page.getByRole('button', { name: 'Create a key' }).first().click();
  await page.getByLabel('Name').fill('kept');
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  await expect(page.getByRole('dialog').getByRole('alert')).toContainText(detail);
  await expect(page.getByRole('dialog').getByRole('alert')).toContainText('req-of-a-journey');
  await expect(page.getByLabel('Name')).toHaveValue('kept');
  await page.unroute('**/v1/keys');
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  await expect(page.getByTestId('secret')).toBeVisible();
});

test('names of 200 emoji fit every page, and a telephone', async ({ page }) => {
  const name = '🦀'.repeat(200);
  const tenant = await makeTenant(name, 'starter');
  await api('POST', '/v1/keys', { tenant, name });
  await api('PUT', `/v1/tenants/${tenant}/billing-details`, { legal_name: name });
  for (const [app, paths] of [
    ['console', ['tenants', `tenants/${tenant}`, `tenants/${tenant}?tab=keys`, `tenants/${tenant}?tab=invoices`, 'revenue', 'run']],
    ['portal', ['', 'keys', 'invoices', 'usage']],
  ] as const) {
    await page.setViewportSize({ width: 1280, height: 860 });
    await signedIn(page, app, app === 'console' ? pages.root : tenant);
    await page.setViewportSize({ width: 360, height: 780 });
    for (const path of paths) {
      await page.goto(`${pages.billing}/${app}/${path}`);
      await expect(page.locator('#content .card').first()).toBeVisible();
      await expect(page.locator('.skeleton')).toHaveCount(0);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), `${app}/${path}`).toBeLessThanOrEqual(360);
    }
  }
});

test('balance below zero and a bill in another currency are shown as they are', async ({ page }) => {
  const tenant = await makeTenant('Negative journey', 'starter', pages.root);
  await api('PUT', `/v1/tenants/${tenant}/wallet`, { currency: 'USD', overdraft: 1_000_000 });
  await api('POST', '/v1/invoices', { issuer: pages.root, tenant, currency: 'USD', lines: [{ description: 'Work', amount: '1234.56' }] });
  const wallet = await api<{ wallets: { balance: number }[] }>('GET', `/v1/tenants/${tenant}/wallet`);
  expect(wallet.wallets[0]?.balance).toBe(-123_456);
  await signedIn(page, 'portal', tenant);
  await page.getByRole('link', { name: 'Credit' }).click();
  await expect(page.getByTestId('wallet')).toContainText('-USD 1,234.56');
});

test('usage of ten years is asked for in one page, and drawn', async ({ page }) => {
  await signedIn(page, 'portal', pages.customer);
  const end = new Date();
  const start = new Date(Date.UTC(end.getUTCFullYear() - 10, 0, 1)).toISOString();
  const report = await api<{ items: unknown[] }>('GET', `/v1/usage?tenant=${pages.customer}&step=month&from=${start}&format=json&limit=1000`);
  expect(report.items.length).toBeGreaterThan(0);
  await page.goto(`${pages.billing}/portal/usage?step=month&years=10`);
  await expect(page.getByLabel('Years')).toHaveValue('10');
  await expect(page.locator('#content canvas').first()).toBeVisible();
});

/** What people do, from one end to the other. */
import { api, billing, call, expect, link, makeKey, makeTenant, pages, signedIn, test, until } from './fixture';

test('operator signs in with a key for the first time and finds the books in order', async ({ page }) => {
  await page.goto(`${pages.billing}/console/`);
  await page.getByLabel('Admin key').fill('adm_00000000000000000000000000000000');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('Request ');
  await page.getByLabel('Admin key').fill(pages.admin_key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Books' })).toBeVisible();
  await expect(page.getByTestId('verdict')).toContainText('All is well');
  await page.getByRole('button', { name: 'Reconcile now' }).click();
  await expect(page.getByTestId('audit')).toContainText('Everything adds up');
  const cookies = await page.context().cookies();
  expect(cookies).toHaveLength(1);
  expect(cookies[0]).toMatchObject({ name: 'tollgate_console', httpOnly: true, sameSite: 'Strict', path: '/' });
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain('adm_');
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await expect(page.getByLabel('Admin key')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('Admin key')).toBeVisible();
});

test('customer creates a key, uses it and watches the number move', async ({ page }) => {
  const tenant = await makeTenant('Key journey', 'starter');
  await signedIn(page, 'portal', tenant);
  await expect(page.getByRole('heading', { name: 'Start here' })).toBeVisible();
  await page.getByRole('link', { name: 'Create an API key' }).click();
  await page.getByRole('button', { name: 'Create a key' }).first().click();
  await page.getByLabel('Name').fill('production');
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  const secret = (await page.getByTestId('secret').textContent()) ?? '';
  expect(secret).toMatch(/^sk_live_[a-z0-9]{32}$/);
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
  await expect(page.getByRole('cell', { name: /production/ })).toBeVisible();
  expect(await page.content()).not.toContain(secret);

  await page.getByRole('link', { name: 'Overview' }).click();
  await until(secret, 200);
  const live = page.getByTestId('live-requests');
  await expect(live).not.toHaveText('0');
  const before = Number((await live.textContent())?.replace(/\D/g, ''));
  for (let sent = 0; sent < 5; sent += 1) await call(secret);
  await expect(async () => {
    expect(Number((await live.textContent())?.replace(/\D/g, ''))).toBeGreaterThanOrEqual(before + 5);
  }).toPass();
  await expect(page.locator('canvas').first()).toBeVisible();

  // Rotated, the old key serves on for a while; revoked, it does not.
  await page.getByRole('link', { name: 'API keys' }).click();
  await page.getByRole('button', { name: 'Rotate' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click();
  const rotated = (await page.getByTestId('secret').textContent()) ?? '';
  await until(rotated, 200);
  expect((await call(secret)).status).toBe(200);
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
  await page.getByRole('button', { name: 'Revoke' }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await expect(page.getByText('The key is revoked')).toBeVisible();
});

test('customer runs out of quota and goes on after an upgrade at the price of the preview', async ({ page }) => {
  const plan = { id: 'tiny', name: 'Tiny', currency: 'USD', flat_fee: '1.00', charges: [{ meter: 'requests', included: 5, tiers: [{ price: { amount: '1.00', per: 1000 } }] }], quotas: [{ meter: 'requests', per_month: 5 }] };
  await api('PUT', '/v1/plans', { plans: [plan] });
  const tenant = await makeTenant('Quota journey', 'tiny');
  const key = await makeKey(tenant);
  await signedIn(page, 'portal', tenant);
  await expect(page.getByTestId('left-requests')).toHaveText('5 left');
  const refused = await until(key, 429);
  expect(((await refused.json()) as { code: string }).code).toBe('quota_exceeded');
  await expect(page.getByTestId('left-requests')).toHaveText('0 left');

  await page.getByRole('link', { name: 'Plan', exact: true }).click();
  await expect(page.getByTestId('current-plan')).toHaveText('Tiny');
  await page.getByRole('button', { name: 'Choose Starter' }).click();
  const shown = (await page.getByTestId('difference').textContent())?.trim();
  const preview = await api<{ difference: { amount: string } }>('GET', `/v1/tenants/${tenant}/invoice-preview?plan=starter`);
  expect(shown?.replace(/[^0-9.]/g, '')).toMatch(/^\d+\.\d{2}$/);
  // The period shortens while both are asked for, so a cent may lie between them.
  const cents = (text: string) => Number(text.replace(/\D/g, ''));
  expect(Math.abs(cents(shown ?? '') - cents(preview.difference.amount))).toBeLessThanOrEqual(1);
  await page.getByRole('button', { name: 'Change to Starter' }).click();
  await expect(page.getByTestId('current-plan')).toHaveText('Starter');
  await until(key, 200);
  await page.getByRole('link', { name: 'Overview' }).click();
  await expect(page.getByText('Your plan has no monthly limit.')).toBeVisible();
});

test('customer reads where a line of an invoice comes from', async ({ page }) => {
  const tenant = await makeTenant('Invoice journey', 'starter');
  const key = await makeKey(tenant);
  await until(key, 200);
  await expect(async () => {
    const bill = await api<{ current: { counts: { requests: number } }[] }>('GET', `/v1/tenants/${tenant}/invoice-preview`);
    expect(bill.current[0]?.counts.requests).toBeGreaterThan(0);
  }).toPass();
  const now = new Date();
  const next = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1, 3)).toISOString();
  billing('run', '--now', next, '--tenant', tenant, '--incomplete', 'a journey');
  const [invoice] = (await api<{ items: { id: string; number: string; total: { amount: string } }[] }>('GET', `/v1/invoices?tenant=${tenant}`)).items;
  if (!invoice) throw new Error('no invoice was issued');

  await signedIn(page, 'portal', tenant);
  await page.getByRole('link', { name: 'Invoices' }).click();
  await page.getByRole('link', { name: invoice.number }).click();
  await expect(page.getByTestId('invoice-total')).toContainText(invoice.total.amount);
  await page.getByRole('button', { name: 'Explain this line' }).first().click();
  await expect(page.getByRole('dialog')).toContainText('Plan starter, version 1');
  await expect(page.getByRole('dialog')).toContainText('the same lines, to the byte');
  await page.keyboard.press('Escape');
  await page.goBack();
  await expect(page.getByRole('link', { name: invoice.number })).toBeVisible();

  // The seller records the payment; the customer sees it.
  await page.goto(await link(pages.root, 'console', 'admin'));
  await expect(page.getByRole('heading', { name: 'Books' })).toBeVisible();
  await page.goto(`${pages.billing}/console/invoices/${invoice.id}`);
  await page.getByRole('button', { name: 'Record a payment' }).click();
  await page.getByLabel('Reference').fill(`transfer ${invoice.number}`);
  await page.getByRole('dialog').getByRole('button', { name: 'Record a payment' }).click();
  await expect(page.getByTestId('invoice-open')).toContainText('0.00');
  await page.goto(`${pages.billing}/portal/invoices/${invoice.id}`);
  await expect(page.getByTestId('invoice-open')).toContainText('0.00');
});

test('reseller makes a customer and leads it into its portal', async ({ page }) => {
  await signedIn(page, 'console', pages.reseller, 'admin');
  await expect(page.getByRole('heading', { name: 'Revenue and usage' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Books' })).toHaveCount(0);
  await page.getByRole('link', { name: 'Tenants' }).click();
  await page.getByRole('button', { name: 'Make a tenant' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('Made by a reseller');
  await dialog.getByLabel('Plan').selectOption('growth');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await expect(page.getByRole('heading', { name: /Made by a reseller/ })).toBeVisible();
  await page.getByRole('link', { name: 'Plan', exact: true }).click();
  await expect(page.getByTestId('current-plan')).toHaveText('Growth');
  await expect(page).toHaveURL(/tab=plan/);
  await page.goBack();
  await expect(page.getByTestId('bill')).toContainText('99.00');
});

test('operator suspends a tenant, and every gateway refuses it until it is resumed', async ({ page }) => {
  const tenant = await makeTenant('Suspended journey', 'starter');
  const key = await makeKey(tenant);
  await until(key, 200);
  await signedIn(page, 'console', pages.root);
  await page.goto(`${pages.billing}/console/tenants/${tenant}`);
  await page.getByRole('button', { name: 'Suspend' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Suspend' }).click();
  await expect(page.getByText('suspended', { exact: true })).toBeVisible();
  await until(key, 403);
  const portal = await page.context().newPage();
  await portal.goto(await link(tenant));
  await expect(portal.getByRole('alert')).toContainText('suspended');
  await portal.close();
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click();
  await until(key, 200);
  await page.goto(`${pages.billing}/console/audit?subject=${tenant}`);
  await expect(page.getByText('tenant.suspend')).toBeVisible();
});

test('operator looks at drafts and issues what is due', async ({ page }) => {
  await signedIn(page, 'console', pages.root);
  await page.getByRole('link', { name: 'Invoice run' }).click();
  await expect(page.getByRole('link', { name: 'Acme' })).toBeVisible();
  const drafts = await api<{ drafts: { tenant_name: string }[] }>('GET', '/v1/invoice-drafts');
  expect(drafts.drafts.length).toBeGreaterThan(2);
  await page.getByRole('button', { name: 'Issue what is due' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Issue' }).click();
  // Gateways that still have usage to hand in, or periods that still run: either way nobody is billed early.
  await expect(page.getByTestId('run-result').or(page.getByRole('dialog').getByRole('alert'))).toContainText(
    /0 invoices issued|usage may be missing/,
  );
});

test('customer asks for a top-up, and the seller confirms it', async ({ page }) => {
  const tenant = await makeTenant('Credit journey', 'starter');
  await signedIn(page, 'portal', tenant);
  await page.getByRole('link', { name: 'Credit' }).click();
  await page.getByRole('button', { name: 'Top up' }).click();
  await page.getByLabel('Amount').fill('75.50');
  await page.getByRole('dialog').getByRole('button', { name: /Top up/ }).click();
  await expect(page.getByText('USD 75.50')).toBeVisible();
  const seller = await page.context().newPage();
  await seller.goto(await link(pages.root, 'console', 'admin'));
  await expect(seller.getByRole('heading', { name: 'Books' })).toBeVisible();
  await seller.goto(`${pages.billing}/console/tenants/${tenant}?tab=credit`);
  await seller.getByRole('button', { name: 'Confirm as paid' }).click();
  await expect(seller.getByTestId('wallet')).toContainText('75.50');
  await seller.close();
  await page.reload();
  await expect(page.getByTestId('wallet')).toContainText('75.50');
});

/** What operators do to plans, prices and invoices: each shows what it does before it counts. */
import { api, billing, expect, makeKey, makeTenant, pages, signedIn, test, until } from './fixture';

/** A tenant with an invoice that was issued, and its invoice. */
async function invoiced(name: string): Promise<{ tenant: string; id: string; number: string }> {
  const tenant = await makeTenant(name, 'starter', pages.root);
  const lines = [{ description: 'Set-up', amount: '100.00' }, { description: 'Support', amount: '20.00' }];
  await api('POST', '/v1/invoices', { issuer: pages.root, tenant, currency: 'USD', lines });
  const [invoice] = (await api<{ items: { id: string; number: string }[] }>('GET', `/v1/invoices?tenant=${tenant}`)).items;
  if (!invoice) throw new Error('no invoice was issued');
  return { tenant, ...invoice };
}

test('operator changes a plan, sees what differs and what it would have cost, and applies it', async ({ page }) => {
  const plan = { id: 'edited', name: 'Edited', currency: 'USD', flat_fee: '10.00', charges: [{ meter: 'requests', included: 5, per_unit: { amount: '1.00', per: 1000 } }] };
  await api('PUT', '/v1/plans', { plans: [plan] });
  await makeTenant('Plan journey', 'edited', pages.root);
  await signedIn(page, 'console', pages.root);
  await page.getByRole('link', { name: 'Plans', exact: true }).click();
  await page.getByRole('link', { name: 'Edited', exact: true }).click();
  const document = page.getByLabel(/The plan, as/);
  const text = await document.inputValue();
  await document.fill('{ not JSON');
  await expect(page.getByRole('alert')).toContainText('This is no JSON');
  await expect(page.getByRole('button', { name: 'Apply as a new version' })).toBeDisabled();
  await document.fill(text.replace('"10.00"', '"3010.00"'));
  await expect(page.getByTestId('diff').getByRole('row', { name: /flat_fee/ })).toContainText('10.003010.00');
  const month = new Date().toISOString().slice(0, 7);
  await page.getByLabel('From').fill(month);
  await page.getByLabel('To', { exact: true }).fill(month);
  await page.getByRole('button', { name: 'Simulate' }).click();
  await expect(page.getByTestId('simulation')).toContainText('Difference');
  await expect(page.getByRole('link', { name: 'Plan journey' })).toBeVisible();
  const before = await api<{ version: number }>('GET', '/v1/plans/edited');
  expect(before.version).toBe(1);
  await page.getByRole('button', { name: 'Apply as a new version' }).click();
  await expect(page.getByRole('dialog')).toContainText('flat_fee: 10.00 → 3010.00');
  await page.getByRole('dialog').getByRole('button', { name: 'Apply' }).click();
  await expect(page.getByText('edited has version 2')).toBeVisible();
  await expect(page.getByRole('heading', { name: /edited · 2/ })).toBeVisible();
});

test('operator finds whose requests are refused, and why', async ({ page }) => {
  const plan = { id: 'narrow', name: 'Narrow', currency: 'USD', flat_fee: '1.00', charges: [], quotas: [{ meter: 'requests', per_month: 2, kind: 'hard' }] };
  await api('PUT', '/v1/plans', { plans: [plan] });
  const tenant = await makeTenant('Refused journey', 'narrow');
  await until(await makeKey(tenant), 429);
  await signedIn(page, 'console', pages.root);
  await page.getByRole('link', { name: 'Refused requests' }).click();
  const row = page.getByRole('row', { name: /Refused journey/ });
  await expect(row).toContainText('quota_exceeded');
  await expect(row).toContainText('another plan lets the tenant go on');
  await page.getByLabel('Reason').selectOption('quota_exceeded');
  await expect(page).toHaveURL(/reason=quota_exceeded/);
  await row.getByRole('link').click();
  await expect(page.getByRole('heading', { name: /Refused journey/ })).toBeVisible();
});

test('operator overrides the fee of one tenant, and its bill says so', async ({ page }) => {
  const tenant = await makeTenant('Terms journey', 'growth', pages.root);
  await signedIn(page, 'console', pages.root);
  await page.goto(`${pages.billing}/console/tenants/${tenant}?tab=plan`);
  await expect(page.getByTestId('terms-fee')).toContainText('as the plan says');
  await page.getByRole('button', { name: 'Override prices' }).click();
  await page.getByLabel(/Fee of a period/).fill('12,5x');
  await expect(page.getByRole('button', { name: 'Override from now on' })).toBeDisabled();
  await page.getByLabel(/Fee of a period/).fill('12.50');
  await page.getByLabel('Discount (%)').fill('10');
  await expect(page.getByTestId('terms-next')).toContainText('USD 12.50, 10 % off');
  await page.getByRole('button', { name: 'Override from now on' }).click();
  await expect(page.getByTestId('terms-fee')).toHaveText('USD 12.50');
  await expect(page.getByTestId('terms-discount')).toHaveText('10 %');
  const found = await api<{ items: { status: string; terms: { flat_fee: string } }[] }>('GET', `/v1/tenants/${tenant}/subscriptions`);
  expect(found.items.find((one) => one.status === 'current')?.terms.flat_fee).toBe('12.50');
});

test('operator takes a part of a line back by a credit note, and the customer reads it', async ({ page }) => {
  const { tenant, id } = await invoiced('Credit note journey');
  await signedIn(page, 'console', pages.root);
  await page.goto(`${pages.billing}/console/invoices/${id}`);
  await page.getByRole('button', { name: 'Credit note' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel(/Set-up/).fill('30.505');
  await expect(page.getByTestId('credit-preview')).toContainText('An amount is none of USD');
  await dialog.getByLabel(/Set-up/).fill('30.50');
  await expect(page.getByTestId('credit-preview')).toContainText('USD 30.50 is taken back');
  await expect(dialog.getByRole('button', { name: 'Issue a credit note' })).toBeDisabled();
  await dialog.getByLabel('Reason').fill('a day of outage');
  await dialog.getByRole('button', { name: 'Issue a credit note' }).click();
  await expect(page.getByTestId('credit-note')).toHaveText('USD 30.50');
  await expect(page.getByTestId('invoice-open')).toHaveText('USD 89.50');
  await signedIn(page, 'portal', tenant);
  await page.goto(`${pages.billing}/portal/invoices/${id}`);
  await expect(page.getByTestId('credit-note')).toHaveText('USD 30.50');
  await expect(page.getByText('a day of outage')).toBeVisible();
});

test('operator changes billing details, and sees which before they count', async ({ page }) => {
  const tenant = await makeTenant('Details journey', 'starter', pages.root);
  await signedIn(page, 'console', pages.root);
  await page.goto(`${pages.billing}/console/tenants/${tenant}?tab=invoices`);
  await page.getByRole('button', { name: /Change.*billing details/i }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('button', { name: 'Save' })).toBeDisabled();
  await dialog.getByLabel('Legal name').fill('Details GmbH');
  await dialog.getByLabel('Street, floor').fill('Am Markt 1');
  await dialog.getByLabel('City').fill('Berlin');
  await dialog.getByLabel(/Country/).fill('de');
  await expect(dialog.getByTestId('diff')).toContainText('legal_name: – → Details GmbH');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Am Markt 1, Berlin, DE')).toBeVisible();
  const stored = await api<{ legal_name: string }>('GET', `/v1/tenants/${tenant}/billing-details`);
  expect(stored.legal_name).toBe('Details GmbH');
});

test('customer chooses the events that its endpoint hears of, and others later', async ({ page }) => {
  const tenant = await makeTenant('Webhook journey', 'starter');
  await signedIn(page, 'portal', tenant);
  await page.getByRole('link', { name: 'Webhooks' }).click();
  await page.getByRole('button', { name: 'Add an endpoint' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('CRM');
  await dialog.getByLabel('URL').fill('https://example.com/hooks');
  await dialog.getByLabel('invoice.paid').check();
  await dialog.getByLabel('key.expiring').check();
  await dialog.getByRole('button', { name: 'Create' }).click();
  await expect(page.getByTestId('secret')).toContainText('whsec_');
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
  const row = page.getByRole('row', { name: /CRM/ });
  await expect(row).toContainText('invoice.paid, key.expiring');
  await row.getByRole('button', { name: 'Change' }).click();
  await dialog.getByLabel('invoice.paid').uncheck();
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(row).not.toContainText('invoice.paid');
  await expect(row).toContainText('key.expiring');
});

test('operator adds a member and takes it off again, which a link cannot', async ({ page }) => {
  const tenant = await makeTenant('Member journey', 'starter');
  await signedIn(page, 'portal', tenant);
  await page.getByRole('link', { name: 'Members' }).click();
  await expect(page.getByRole('heading', { name: 'No members yet' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Add a member' })).toHaveCount(0);
  await page.goto(`${pages.billing}/console/`);
  await page.getByLabel('Admin key').fill(pages.admin_key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Books' })).toBeVisible();
  await page.goto(`${pages.billing}/console/tenants/${tenant}?tab=members`);
  await page.getByRole('button', { name: 'Add a member' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Mail address').fill('Anna@acme.example');
  await dialog.getByLabel('Role').selectOption('billing');
  await dialog.getByRole('button', { name: 'Add a member' }).click();
  await expect(page.getByRole('row', { name: /anna@acme\.example/ })).toContainText('billing');
  await page.getByRole('row', { name: /anna@acme\.example/ }).getByRole('button', { name: 'Remove' }).click();
  await dialog.getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('heading', { name: 'No members yet' })).toBeVisible();
});

test('month is run for one tenant, and its invoice is in both pages', async ({ page }) => {
  const tenant = await makeTenant('Month journey', 'growth', pages.root);
  const now = new Date();
  const next = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1, 3)).toISOString();
  billing('run', '--now', next, '--tenant', tenant, '--incomplete', 'a journey');
  const [invoice] = (await api<{ items: { number: string }[] }>('GET', `/v1/invoices?tenant=${tenant}`)).items;
  await signedIn(page, 'console', pages.root);
  await page.goto(`${pages.billing}/console/tenants/${tenant}?tab=invoices`);
  await expect(page.getByRole('link', { name: invoice?.number })).toBeVisible();
  await signedIn(page, 'portal', tenant);
  await page.getByRole('link', { name: 'Invoices' }).click();
  await expect(page.getByRole('link', { name: invoice?.number })).toBeVisible();
});

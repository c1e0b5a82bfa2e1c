/** How the pages look and are used: by everybody, with every theme, width and key. */
import AxeBuilder from '@axe-core/playwright';
import { expect, pages, signedIn, test } from './fixture';

const SCREENS = {
  console: ['', 'revenue', 'refusals', 'tenants', 'TENANT', 'TENANT?tab=usage', 'TENANT?tab=keys', 'TENANT?tab=plan', 'TENANT?tab=credit', 'TENANT?tab=invoices', 'TENANT?tab=members', 'plans', 'plans/starter', 'plans/new', 'invoices', 'run', 'payments', 'outbox', 'audit', 'admin-keys', 'nowhere'],
  portal: ['', 'usage', 'keys', 'invoices', 'credit', 'plan', 'payment', 'members', 'webhooks'],
};

for (const app of ['console', 'portal'] as const) {
  for (const theme of ['light', 'dark'] as const) {
    test(`every screen of the ${app} is accessible and fits a telephone, ${theme}`, async ({ page }) => {
      test.setTimeout(300_000);
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await signedIn(page, app, app === 'console' ? pages.root : pages.customer);
      const faults: string[] = [];
      for (const screen of SCREENS[app]) {
        const path = screen.replace('TENANT', `tenants/${pages.customer}`);
        await page.setViewportSize({ width: 1280, height: 860 });
        await page.goto(`${pages.billing}/${app}/${path}`);
        await expect(page.locator('#content .card').first()).toBeVisible();
        await expect(page.locator('.skeleton')).toHaveCount(0);
        const found = await new AxeBuilder({ page }).analyze();
        faults.push(...found.violations.map((one) => `${screen}: ${one.id} ${one.nodes.map((node) => node.target).join(' ')}`));
        await page.setViewportSize({ width: 360, height: 780 });
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        if (width > 360) faults.push(`${screen} is ${width} px wide`);
      }
      expect(faults).toEqual([]);
    });
  }
}

test('keyboard alone reaches everything, and back goes back', async ({ page }) => {
  await signedIn(page, 'console', pages.root);
  await page.keyboard.press('Control+k');
  await page.keyboard.type('acm');
  await expect(page.getByRole('option', { name: /Acme/ })).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: /Acme/ })).toBeVisible();
  await page.keyboard.press('Control+k');
  await page.keyboard.type('plans');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Plans' })).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('heading', { name: /Acme/ })).toBeVisible();
  await page.keyboard.press('Control+k');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('combobox')).toHaveCount(0);
});

test('portal speaks German and wears the colours of its seller', async ({ page }) => {
  await signedIn(page, 'portal', pages.customer);
  await expect(page.getByText('Northwind Resale')).toBeVisible();
  await page.getByLabel('Language / Sprache').selectOption('de');
  await expect(page.getByRole('link', { name: 'Rechnungen' })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Rechnung bisher' })).toBeVisible();
  await expect(page.getByTestId('bill')).toContainText(/\d+,\d{2}\sUSD/);
  expect(await page.evaluate(() => document.documentElement.lang)).toBe('de');
});

test('usage is grouped, kept in the address and exported', async ({ page }) => {
  await signedIn(page, 'portal', pages.customer);
  await page.getByRole('link', { name: 'Usage' }).click();
  await page.getByLabel('Each bar').selectOption('day');
  await page.getByLabel('Group by').selectOption('key');
  await expect(page).toHaveURL(/step=day&by=key/);
  await page.getByText('As a table').click();
  await expect(page.getByRole('cell', { name: /demo …/ }).first()).toBeVisible();
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'CSV' }).click();
  expect((await saved).suggestedFilename()).toMatch(/^usage-Acme-day\.csv$/);
});

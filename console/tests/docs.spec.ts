/** The API's page: Scalar, on this origin alone, with examples that work when pasted. */
import { execFileSync } from 'node:child_process';
import { expect, pages, test } from './fixture';

test('reader of the API finds an operation, and its example works when pasted', async ({ page }) => {
  test.setTimeout(120_000);
  await page.goto(`${pages.billing}/docs`);
  await expect(page.getByRole('heading', { name: 'Tollgate business API' })).toBeVisible({ timeout: 60_000 });
  await page.goto(`${pages.billing}/docs#tag/access/GET/v1/me`);
  const example = page.locator('[id*="GET/v1/me"]').locator('code, pre').filter({ hasText: 'curl' }).first();
  await expect(example).toBeVisible();
  const text = ((await example.textContent()) ?? '').replace(/^[^c]*curl/, 'curl');
  expect(text).toContain(`${pages.billing}/v1/me`);
  expect(text).toMatch(/Authorization: Bearer \S+/);
  const pasted = text.replace(/Authorization: Bearer [^'"]+/, `Authorization: Bearer ${pages.admin_key}`);
  const answer = JSON.parse(execFileSync('bash', ['-c', pasted], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as { role: string };
  expect(answer.role).toBe('owner');
  const policy = (await page.request.get(`${pages.billing}/docs`)).headers()['content-security-policy'];
  expect(policy).toContain("connect-src 'self'");
  expect(policy).not.toContain('unsafe-eval');
});

// Checks how browsers load the site's files.

import assert from 'node:assert/strict';

import { demo, openIntegrations, signIn } from './lib/app.mjs';
import { hydrated, story } from './lib/story.mjs';

story('a second page loads no file again, and a script of another build is not found', async ({ page }) => {
  await signIn(page);
  await hydrated(page);
  await openIntegrations(page);
  await hydrated(page);
  const loaded = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .map(({ name, transferSize }) => ({ path: new URL(name).pathname, transferSize }))
      .filter(({ path }) => path.startsWith('/pkg/')),
  );
  const endings = new Set(loaded.map(({ path }) => path.split('.').pop()));
  assert.deepEqual(endings, new Set(['css', 'js', 'wasm']));
  assert.deepEqual(loaded.filter(({ transferSize }) => transferSize > 0), []);
  for (const { path } of loaded) {
    const other = await page.request.get(path.replace(/^\/pkg\/[^/]+/, '/pkg/other'));
    // A page of another instance's build at least looks as it should.
    assert.equal(other.status(), path.endsWith('.css') ? 200 : 404, path);
  }
});

story('pages without an island load no script, and their forms work', async ({ page, expectConsoleProblem }) => {
  expectConsoleProblem(/404/);
  const scripts = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (/\.(js|wasm)$/.test(pathname)) scripts.push(pathname);
  });
  for (const path of ['/login/forgot', '/login/reset', '/invite', '/unsubscribe', '/connect/unknown', '/api-reference', '/login']) {
    await page.goto(path, { waitUntil: 'networkidle' });
    await page.getByRole('heading', { level: 1 }).waitFor();
    assert.equal(new URL(page.url()).pathname, path);
    assert.equal(await page.locator('script:is([src], [type=module])').count(), 0, path);
  }
  await page.getByLabel('Email').fill(demo.email);
  await page.getByLabel('Password').fill('not-it');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText("don't match").waitFor();
  await page.waitForLoadState('networkidle');
  assert.deepEqual(scripts, []);
  await page.getByLabel('Password').fill(demo.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('/');
  await hydrated(page);
  assert.equal(scripts.length, 2, 'a script and its module');
});

story('icons and the manifest are there', async ({ page }) => {
  await page.goto('/login');
  const linked = await page.locator('link:is([rel~=icon], [rel=apple-touch-icon], [rel=manifest])').evaluateAll((links) => links.map((link) => link.href));
  assert.equal(linked.length, 4);
  const manifest = await (await page.request.get('/site.webmanifest')).json();
  for (const path of [...linked, '/favicon.ico', ...manifest.icons.map((icon) => icon.src)]) {
    const answer = await page.request.get(path);
    assert.equal(answer.status(), 200, path);
    assert.match(answer.headers()['content-type'], /^(image\/|application\/manifest)/, path);
  }
});

// Checks how browsers load the site's files.

import assert from 'node:assert/strict';

import { openIntegrations, signIn } from './lib/app.mjs';
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

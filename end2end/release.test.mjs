// Checks the files inside a release's binary: the browser gets them compressed, and they work.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

import { REFRESHED, openIntegrations, signIn, statusToast } from './lib/app.mjs';
import { hydrated, story } from './lib/story.mjs';

const FILES = ['css', 'js', 'wasm'];
const decoders = { br: brotliDecompressSync, gzip: gunzipSync, undefined: (body) => body };

/** Requests a file as a browser does that accepts these encodings. */
const load = (url, encodings) =>
  new Promise((resolve, reject) => {
    const headers = encodings ? { 'accept-encoding': encodings } : {};
    request(url, { headers }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part)).on('error', reject);
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(parts) }));
    })
      .on('error', reject)
      .end();
  });

story('the browser loads the compressed files of the binary, and they work', async ({ page, server }) => {
  const responses = [];
  page.on('response', (response) => responses.push(response));
  await signIn(page);
  await statusToast(page).getByText(REFRESHED).waitFor();
  await hydrated(page);
  await openIntegrations(page);
  const loaded = responses.filter((response) => new URL(response.url()).pathname.startsWith('/pkg/'));
  const ending = (response) => response.url().split('.').pop();
  assert.deepEqual(new Set(loaded.map(ending)), new Set(FILES));
  for (const response of loaded) {
    assert.equal((await response.allHeaders())['content-encoding'], 'br', response.url());
  }
  for (const url of new Set(loaded.map((response) => response.url()))) {
    const [plain, gzip, br] = await Promise.all([load(url), load(url, 'gzip'), load(url, 'gzip, deflate, br, zstd')]);
    assert.deepEqual([plain, gzip, br].map(({ headers }) => headers['content-encoding']), [undefined, 'gzip', 'br'], url);
    for (const { headers, body } of [plain, gzip, br]) {
      assert.equal(Number(headers['content-length']), body.length, url);
      assert.equal(headers.vary, 'accept-encoding', url);
      assert.ok(decoders[headers['content-encoding']](body).equals(plain.body), `${url} ${headers['content-encoding']}`);
    }
    assert.ok(br.body.length < gzip.body.length && gzip.body.length < plain.body.length, url);
  }
  assert.ok(!server.log().includes('ERROR'), server.log());
});

// The notifications page: a webhook from its first look at the secret to its end, with and without JavaScript.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { alive, story } from './lib/story.mjs';
import { fromMenu, harbour, row, signIn, southerly, switchTo } from './lib/app.mjs';

/** A receiver on this machine that answers 204, and keeps what it gets. */
async function receiver() {
  const got = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    got.push({ headers: request.headers, body });
    response.writeHead(204).end();
    server.emit('delivered');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    got,
    url: `http://127.0.0.1:${server.address().port}/hooks?key=private`,
    delivered: async (count) => {
      while (got.length < count) await once(server, 'delivered');
    },
    close: () => server.close(),
  };
}

/** By the text of the Standard Webhooks scheme. */
function signedWith(secret, { headers, body }) {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const right = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  return headers['webhook-signature'].split(' ').includes(right);
}

const open = async (page) => {
  await page.goto('/settings/notifications');
  await page.getByRole('heading', { level: 1, name: 'Notifications' }).waitFor();
};
const webhook = (page) => page.getByRole('list', { name: 'Webhooks' }).getByRole('listitem');
const secretOf = (page) => page.getByRole('region', { name: 'The signing secret' }).locator('code').innerText();
const choose = async (page, item) => {
  await webhook(page).getByRole('button', { name: /^Actions for/ }).click();
  await page.getByRole('menuitem', { name: item }).click();
};

async function tell({ page, provider }) {
  const hooks = await receiver();
  try {
    await signIn(page);
    await switchTo(page, harbour.org);
    await page.goto('/settings/integrations');
    await page.getByRole('navigation', { name: 'Settings' }).getByRole('link', { name: 'Notifications' }).click();
    await page.getByRole('heading', { level: 1, name: 'Notifications' }).waitFor();

    await page.getByLabel('Address').fill('https://example.com/hooks');
    await page.getByRole('button', { name: 'Add webhook' }).click();
    await page.getByText('In the sandbox nothing leaves this machine. Use').waitFor();
    await page.getByLabel('Address').fill(hooks.url);
    await page.getByRole('button', { name: 'Add webhook' }).click();
    await page.getByText('The webhook is added.').waitFor();
    const secret = await secretOf(page);
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    await open(page);
    assert.equal(await page.getByText('whsec_').count(), 0, 'the secret is shown once');

    await webhook(page).getByRole('button', { name: 'Send a test' }).click();
    await page.getByText('The test was delivered.').waitFor();
    await webhook(page).getByText('Delivered', { exact: true }).waitFor();
    await webhook(page).getByText('answered 204').waitFor();
    assert.ok(signedWith(secret, hooks.got[0]), 'the signature is right');

    await choose(page, 'New secret');
    const second = await secretOf(page);
    assert.notEqual(second, secret);
    await provider.revoke(harbour.xeroUser);
    await page.goto('/settings/integrations');
    // Due or not: whoever has JavaScript has had it refreshed already.
    await fromMenu(page, harbour.tenant, 'Refresh now');
    await row(page, harbour.tenant).getByText('Reconnect needed').waitFor();
    await hooks.delivered(2);
    const told = JSON.parse(hooks.got[1].body);
    assert.equal(told.type, 'connection.needs_reconnecting');
    assert.equal(told.data.connection.tenantName, harbour.tenant);
    assert.ok(signedWith(secret, hooks.got[1]) && signedWith(second, hooks.got[1]), 'both secrets sign');

    // The bell counts when a page is loaded.
    await page.goto('/');
    await page.getByRole('link', { name: 'Notifications, 1 new' }).click();
    const events = page.getByRole('list', { name: 'What happened' });
    await events.getByText(`${harbour.tenant} needs reconnecting to Xero.`).waitFor();
    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await page.getByRole('link', { name: 'Notifications', exact: true }).first().waitFor();
    assert.equal(await page.getByRole('button', { name: 'Mark all as read' }).count(), 0);

    await choose(page, 'Turn off');
    await page.getByText('The webhook is off.').waitFor();
    await choose(page, 'Remove');
    const question = page.getByRole('region', { name: 'Remove this webhook?' });
    await question.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('The webhook is removed.').waitFor();
    await page.getByText('No webhook yet.').waitFor();

    await page.getByRole('button', { name: 'Turn off' }).click();
    await page.getByText('Mail is off.').waitFor();
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByText('Mail is on.').waitFor();
  } finally {
    hooks.close();
  }
}

story('a webhook from its secret to its end', tell);

story('without JavaScript: a webhook from its secret to its end', { context: { javaScriptEnabled: false } }, tell);

story('what happened is there for who comes later', async ({ page }) => {
  await signIn(page);
  await switchTo(page, southerly.org);
  await open(page);
  await alive(page);
  const events = page.getByRole('list', { name: 'What happened' });
  await events.getByText(`${southerly.tenant} needs reconnecting to Xero.`).waitFor();
  await events.getByText('just now').waitFor();
});

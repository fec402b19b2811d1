// The notifications page: webhooks, the bell, and email settings, with and without JavaScript.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { checkPage } from './lib/look.mjs';
import { hydrated, story } from './lib/story.mjs';
import { chooseFromMenu, harbour, connectionRow, signIn, southerly, switchOrg, menuItem } from './lib/app.mjs';

/** Starts a webhook receiver on loopback that answers 204 and stores the deliveries. */
async function startReceiver() {
  const deliveries = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    deliveries.push({ headers: request.headers, body });
    response.writeHead(204).end();
    server.emit('delivered');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    deliveries,
    url: `http://127.0.0.1:${server.address().port}/hooks?key=private`,
    waitForDeliveries: async (count) => {
      while (deliveries.length < count) await once(server, 'delivered');
    },
    close: () => server.close(),
  };
}

/** Returns whether a delivery has a valid Standard Webhooks signature for this secret. */
function isSignedWith(secret, { headers, body }) {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const expected = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  return headers['webhook-signature'].split(' ').includes(expected);
}

const openNotifications = async (page) => {
  await page.goto('/settings/notifications');
  await page.getByRole('heading', { level: 1, name: 'Notifications' }).waitFor();
};
const webhook = (page) => page.getByRole('list', { name: 'Webhooks' }).getByRole('listitem');
const shownSecret = (page) => page.getByRole('region', { name: 'Signing secret' }).locator('code').innerText();
const chooseAction = async (page, item) => {
  await webhook(page).getByRole('button', { name: /^Actions for/ }).click();
  await menuItem(page, item).click();
};

async function webhookSteps({ page, provider, withPageChecks }) {
  const receiver = await startReceiver();
  try {
    await signIn(page);
    await switchOrg(page, harbour.org);
    await page.goto('/settings/integrations');
    await page.getByRole('navigation', { name: 'Settings' }).getByRole('link', { name: 'Notifications' }).click();
    await page.getByRole('heading', { level: 1, name: 'Notifications' }).waitFor();

    await page.getByLabel('Address').fill('https://example.com/hooks');
    await page.getByRole('button', { name: 'Add webhook' }).click();
    await page.getByText('In sandbox mode nothing leaves this machine. Use').waitFor();
    await page.getByLabel('Address').fill(receiver.url);
    await page.getByRole('button', { name: 'Add webhook' }).click();
    await page.getByText('Webhook added.').waitFor();
    const secret = await shownSecret(page);
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    await openNotifications(page);
    assert.equal(await shownSecret(page), secret, 'a reload does not lose it');

    await webhook(page).getByRole('button', { name: 'Send a test' }).click();
    await page.getByText('The test was delivered.').waitFor();
    await webhook(page).getByText('Delivered', { exact: true }).waitFor();
    await webhook(page).getByText('answered 204').waitFor();
    assert.ok(isSignedWith(secret, receiver.deliveries[0]), 'the signature is right');

    await chooseAction(page, 'New secret');
    const second = await shownSecret(page);
    assert.notEqual(second, secret);
    await provider.revokeConsents(harbour.xeroUser);
    await page.goto('/settings/integrations');
    // Refresh by hand: with JavaScript, the page has already refreshed what was due.
    await chooseFromMenu(page, harbour.tenant, 'Refresh now');
    await connectionRow(page, harbour.tenant).getByText('Reconnect needed').waitFor();
    await receiver.waitForDeliveries(2);
    const event = JSON.parse(receiver.deliveries[1].body);
    assert.equal(event.type, 'connection.needs_reconnecting');
    assert.equal(event.data.connection.tenantName, harbour.tenant);
    assert.ok(isSignedWith(secret, receiver.deliveries[1]) && isSignedWith(second, receiver.deliveries[1]), 'both secrets sign');

    await page.goto('/');
    await page.getByRole('link', { name: 'Events, 1 new' }).click();
    const events = page.getByRole('list', { name: 'Events' });
    await events.getByText(`${harbour.tenant} needs reconnecting to Xero.`).waitFor();
    await page.getByRole('button', { name: 'Mark all as read' }).click();
    await page.getByRole('link', { name: 'Events', exact: true }).first().waitFor();
    assert.equal(await page.getByRole('button', { name: 'Mark all as read' }).count(), 0);
    await page.getByRole('link', { name: 'Notification settings' }).click();
    await page.getByRole('heading', { level: 1, name: 'Notifications' }).waitFor();

    await chooseAction(page, 'Deliveries');
    await page.getByRole('heading', { level: 1, name: 'Deliveries' }).waitFor();
    const delivery = page.getByRole('list', { name: 'Deliveries' }).getByRole('listitem').filter({ hasText: 'needs reconnecting' }).first();
    await delivery.getByText('answered 204').waitFor();
    await delivery.getByRole('button', { name: 'Resend' }).click();
    await page.getByText('The event was delivered again.').waitFor();
    assert.equal(receiver.deliveries[2].headers['webhook-id'], receiver.deliveries[1].headers['webhook-id']);
    if (withPageChecks) await checkPage(page, 'deliveries');

    await openNotifications(page);
    await chooseAction(page, 'Choose events');
    await page.getByRole('group', { name: 'Only these events' }).waitFor();
    if (withPageChecks) await checkPage(page, 'webhook-events');
    await page.getByRole('group', { name: 'Only these events' }).getByLabel('A connection works again').check();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The webhook gets the events that you chose').waitFor();
    await webhook(page).getByText('A connection works again').waitFor();

    await chooseAction(page, 'Turn off');
    await page.getByText('The webhook is off.').waitFor();
    await chooseAction(page, 'Remove');
    const confirmation = page.getByRole('region', { name: 'Remove this webhook?' });
    await confirmation.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('Webhook removed.').waitFor();
    await page.getByText('No webhooks yet.').waitFor();

    await page.getByRole('button', { name: 'Turn off' }).click();
    await page.getByText('Email is off.').waitFor();
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByText('Email is on.').waitFor();
  } finally {
    receiver.close();
  }
}

story('a webhook is added, tested, rotated, disabled and removed', (visitor) => webhookSteps({ ...visitor, withPageChecks: true }));

story('without JavaScript: a webhook is added, tested, rotated, disabled and removed', { context: { javaScriptEnabled: false } }, webhookSteps);

story('past events are listed for a later visitor', async ({ page }) => {
  await signIn(page);
  await switchOrg(page, southerly.org);
  await page.goto('/events');
  await hydrated(page);
  const events = page.getByRole('list', { name: 'Events' });
  await events.getByText(`${southerly.tenant} needs reconnecting to Xero.`).waitFor();
  await events.getByText('just now').waitFor();
  await checkPage(page, 'events');
  await page.getByRole('combobox', { name: 'Event' }).selectOption({ label: 'A connection works again' });
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByText('No results').waitFor();
  await hydrated(page);
  await checkPage(page, 'events-no-results');
});

// Members: from a link to a second browser's place, another role and the end; an organisation of one's own.

import assert from 'node:assert/strict';

import { look } from './lib/look.mjs';
import { alive, story } from './lib/story.mjs';
import { harbour, signIn, switchTo, switcher } from './lib/app.mjs';

const newcomer = { email: 'bea@example.com', password: 'a long new password' };

const open = async (page) => {
  await page.goto('/settings/members');
  await page.getByRole('heading', { level: 1, name: 'Members' }).waitFor();
};
const member = (page, email) =>
  page.getByRole('list', { name: 'Members' }).getByRole('listitem').filter({ has: page.getByRole('heading', { name: email }) });
const choose = async (page, email, item) => {
  await page.getByRole('button', { name: `Actions for ${email}` }).click();
  await page.getByRole('menuitem', { name: item }).click();
};

async function tell({ page, server, pictures, browserContext }) {
  await signIn(page);
  await switchTo(page, harbour.org);
  await open(page);
  await page.getByText('You, since').waitFor();
  assert.equal(await page.getByRole('button', { name: /^Actions for demo/ }).count(), 0, 'the last owner stays');

  await page.getByLabel('Role').selectOption('member');
  await page.getByRole('button', { name: 'Make an invitation' }).click();
  const link = await page.locator('#invitation-address').innerText();
  assert.match(link, /\/invite\?token=[A-Za-z0-9_-]{43}$/);
  if (pictures) {
    await alive(page);
    await look(page, 'members-link');
  }
  await open(page);
  assert.equal(await page.locator('#invitation-address').count(), 0, 'the link is shown once');

  const context = await page.context().browser().newContext({ baseURL: server.origin, ...browserContext });
  try {
    const guest = await context.newPage();
    await guest.goto(link);
    await guest.getByRole('heading', { level: 1, name: `Join ${harbour.org}` }).waitFor();
    if (pictures) await look(guest, 'invitation');
    await guest.getByLabel('Email').fill(newcomer.email);
    await guest.getByLabel('New password').fill(newcomer.password);
    await guest.getByRole('button', { name: 'Make an account and join' }).click();
    await guest.getByText('You have joined the organisation.').waitFor();
    await open(guest);
    assert.equal(await guest.getByRole('button', { name: 'Make an invitation' }).count(), 0, 'members invite nobody');

    await page.reload();
    await choose(page, newcomer.email, 'Make an admin');
    await page.getByText('The role is changed.').waitFor();
    await member(page, newcomer.email).getByText('Admin', { exact: true }).waitFor();
    await guest.reload();
    await guest.getByRole('button', { name: 'Make an invitation' }).waitFor();
    if (pictures) {
      await alive(page);
      await look(page, 'members');
      await page.getByRole('button', { name: `Actions for ${newcomer.email}` }).click();
      await look(page, 'members-menu');
      await page.keyboard.press('Escape');
    }

    await choose(page, newcomer.email, 'Remove');
    const question = page.getByRole('region', { name: `Remove ${newcomer.email} from ${harbour.org}?` });
    if (pictures) {
      await alive(page);
      await look(page, 'members-remove');
    }
    await question.getByRole('button', { name: 'Remove' }).click();
    await page.getByText('The member is removed.').waitFor();
    await guest.reload();
    await guest.getByRole('heading', { name: 'You belong to no organisation yet' }).waitFor();
    await guest.goto(link);
    await guest.getByRole('heading', { name: 'This invitation is over' }).waitFor();
    if (pictures) await look(guest, 'invitation-over');
  } finally {
    await context.close();
  }

  await open(page);
  await page.getByLabel('Name of a new organisation').fill('Fernhill Studio');
  await page.getByRole('button', { name: 'Make organisation' }).click();
  await page.getByText('The organisation is made, and you own it.').waitFor();
  await page.getByLabel('Name', { exact: true }).fill('Fernhill');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByText('The organisation has its new name.').waitFor();
  await switcher(page).getByText('Fernhill', { exact: true }).waitFor();
  await switchTo(page, harbour.org);

  await page.goto('/activity?show=changes');
  await page.getByRole('row').filter({ hasText: 'Removed a member' }).filter({ hasText: newcomer.email }).waitFor();
  if (pictures) {
    await alive(page);
    await look(page, 'activity-changes');
  }
}

story('an invitation from its link to its end', (visitor) => tell({ ...visitor, pictures: true }));

const still = { javaScriptEnabled: false };
story('without JavaScript: an invitation from its link to its end', { context: still }, (visitor) =>
  tell({ ...visitor, browserContext: still }),
);

// Times: in the reader's own zone, by script or by the zone that they chose, and named once a page.

import assert from 'node:assert/strict';

import { hydrated, story } from './lib/story.mjs';
import { chooseFromMenu, connectionRow, harbour, openIntegrations, signIn } from './lib/app.mjs';

/** Returns a time's text, its UTC value and its tooltip. */
const written = (time) =>
  time.evaluate((element) => ({ text: element.textContent, datetime: element.dateTime, title: element.title }));

/** A time as the browser writes it in this zone. */
const inZone = (zone, at, style) => new Intl.DateTimeFormat('en-GB', { ...style, timeZone: zone }).format(new Date(at));

/** The times that a page shows, as the browser writes them in this zone. */
async function timesAreIn(page, zone) {
  const times = await page.locator('time').evaluateAll((all) => all.map(({ textContent, dateTime, dataset }) => ({ text: textContent, at: dateTime, style: dataset.time })));
  const options = { date: { dateStyle: 'medium' }, time: { timeStyle: 'short' }, both: { dateStyle: 'medium', timeStyle: 'short' } };
  const absolute = times.filter(({ style }) => options[style]);
  assert.ok(absolute.length > 0);
  for (const { text, at, style } of absolute) {
    assert.equal(text, inZone(zone, at, options[style]), `${style} of ${at}`);
  }
}

for (const [zone, other] of [['Pacific/Auckland', 'America/St_Johns'], ['America/St_Johns', 'Pacific/Auckland']]) {
  story(`in ${zone} every time is local, and the zone is named once`, { context: { timezoneId: zone } }, async ({ page }) => {
    await signIn(page);
    for (const path of ['/', '/activity', '/activity?show=changes', '/settings/integrations', '/account']) {
      await page.goto(path);
      await hydrated(page);
      await timesAreIn(page, zone);
      assert.equal(await page.getByText(`Times are in ${zone.replace('_', ' ')}`, { exact: true }).count(), 1, path);
    }
    await openIntegrations(page);
    const connected = await written(connectionRow(page, harbour.tenant).locator('time[data-time=date]'));
    assert.match(connected.datetime, /Z$/);
    assert.equal(connected.title, inZone(zone, connected.datetime, { dateStyle: 'medium', timeStyle: 'short' }));

    // What a person has chosen goes before the device.
    await page.goto('/account');
    await page.getByLabel('Time zone').selectOption(other);
    await page.getByRole('button', { name: 'Save time zone' }).click();
    await page.getByText(`Times are in ${other.replace('_', ' ')}`, { exact: true }).waitFor();
    await page.goto('/settings/integrations');
    await hydrated(page);
    await timesAreIn(page, other);
  });
}

story('without JavaScript: times are in UTC, or in the zone that the person chose', { context: { javaScriptEnabled: false, timezoneId: 'Asia/Tokyo' } }, async ({ page }) => {
  await signIn(page);
  await page.goto('/activity?show=changes');
  await page.getByText('Times are in UTC', { exact: true }).waitFor();
  await timesAreIn(page, 'UTC');

  await page.goto('/account');
  await page.getByLabel('Time zone').selectOption('Pacific/Auckland');
  await page.getByRole('button', { name: 'Save time zone' }).click();
  await page.goto('/activity?show=changes');
  await page.getByText('Times are in Pacific/Auckland', { exact: true }).waitFor();
  await timesAreIn(page, 'Pacific/Auckland');
});

story('a link with days of another zone says by which zone they are counted', async ({ page }) => {
  await signIn(page);
  const sentence = page.getByText('The days of this address are counted in', { exact: false });
  for (const path of ['/activity?', '/activity?show=changes&']) {
    await page.goto(`${path}from=2026-01-01&zone=America%2FSt_Johns`);
    await hydrated(page);
    await page.getByText('The days of this address are counted in America/St Johns.', { exact: true }).waitFor();
    // The form goes by the reader's own zone.
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.waitForURL('**zone=Pacific%2FAuckland**');
    await hydrated(page);
    await page.getByText('Times are in Pacific/Auckland', { exact: true }).waitFor();
    assert.ok(await sentence.isHidden());
  }
});

story('without JavaScript: a link with days of another zone says by which zone they are counted', { context: { javaScriptEnabled: false } }, async ({ page }) => {
  await signIn(page);
  await page.goto('/activity?from=2026-01-01&zone=America%2FSt_Johns');
  await page.getByText('The days of this address are counted in America/St Johns.', { exact: true }).filter({ visible: true }).waitFor();
  await page.goto('/activity?show=changes&from=2026-01-01&zone=UTC');
  await page.getByText('Times are in UTC', { exact: true }).waitFor();
  assert.ok(await page.getByText('The days of this address are counted in', { exact: false }).isHidden());
});

story('without a zone of the browser context, times are in that of the machine', { context: { timezoneId: undefined } }, async ({ page }) => {
  await signIn(page);
  await page.goto('/activity?show=changes');
  await hydrated(page);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  assert.equal(await page.evaluate(() => Intl.DateTimeFormat().resolvedOptions().timeZone), zone);
  await page.getByText(`Times are in ${zone.replace('_', ' ')}`, { exact: true }).waitFor();
  await timesAreIn(page, zone);
});

story('a zone that the browser does not know leaves times in its own, and stops nothing', async ({ page }) => {
  const unknown = 'America/Coyhaique';
  await page.context().addInitScript((unknown) => {
    const refuse = (options) => {
      if (options?.timeZone === unknown) throw new RangeError(`Invalid time zone specified: ${unknown}`);
    };
    // Zone data from before the zone, as in a browser that is some years old.
    Intl.DateTimeFormat = new Proxy(Intl.DateTimeFormat, {
      apply: (format, self, args) => (refuse(args[1]), Reflect.apply(format, self, args)),
      construct: (format, args) => (refuse(args[1]), Reflect.construct(format, args)),
    });
  }, unknown);
  await signIn(page);
  await page.goto('/account');
  await page.getByLabel('Time zone').selectOption(unknown);
  await page.getByRole('button', { name: 'Save time zone' }).click();
  await page.getByText('Times are in Pacific/Auckland', { exact: true }).waitFor();
  await timesAreIn(page, 'Pacific/Auckland');
  await page.goto('/activity');
  await hydrated(page);
  await page.evaluate(() => (window.sameDocument = true));
  const attempts = await page.getByRole('row').count();

  const other = await page.context().newPage();
  await openIntegrations(other);
  await chooseFromMenu(other, harbour.tenant, 'Refresh now');
  await page.getByRole('row').nth(attempts).waitFor({ timeout: 5_000 });
  assert.ok(await page.evaluate(() => window.sameDocument));
});

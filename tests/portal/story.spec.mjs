// The main job by hand in the portal: sign in, attach, new lab, stop, export with a reload in the middle, new lab from
// the image. Plays against a real server whose gallery holds one usable generalized image and is not attached (it is
// detached first when it is). ATELIER_URL, ATELIER_USER, ATELIER_PASSWORD; ATELIER_LANGUAGE (en, ja); ATELIER_SCREENSHOTS.
// ATELIER_BEFORE_EXPORT: a command run while the template VM is stopped; it makes the export long enough to be watched.
import assert from 'node:assert/strict';
import { execSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { openBrowser, wordsOf } from './browser.mjs';

const url = process.env.ATELIER_URL;
const user = process.env.ATELIER_USER ?? 'admin';
const password = process.env.ATELIER_PASSWORD ?? '';
const language = process.env.ATELIER_LANGUAGE ?? 'en';
const beforeExport = process.env.ATELIER_BEFORE_EXPORT;
const kMachineMs = 180_000; // a guest under TCG on a busy machine

const say = wordsOf(language);
const stamp = Date.now().toString(36);
const kImage = `portal-${language}-${stamp}`;
const kTitles = language === 'ja' ? ['情報リテラシー', '情報リテラシー 2 組'] : ['Data Literacy', 'Data Literacy B'];
const kTeacher = { name: 'ayumi', password: 'Kyoshitsu-2026' };

let tool;
const page = () => tool.page;
const button = (name) => page().getByRole('button', { name, exact: true });
const heading = (name) => page().getByRole('heading', { name, exact: true });
const visible = (locator, timeout = 60_000) => locator.waitFor({ state: 'visible', timeout });
const vmIs = (state) => visible(page().locator(`[data-testid=vm-state][data-state=${state}]`), kMachineMs);
const openPlace = (key) => page().getByRole('navigation').getByRole('link', { name: say(key) }).click();

async function signIn(secret) {
  await page().getByLabel(say('session.userName')).fill(user);
  await page().getByLabel(say('session.password'), { exact: false }).first().fill(secret);
  await button(say('session.signIn')).click();
}

/** A button that cannot be pressed stays in the tab order and says why. */
async function expectReason(name, reason) {
  const found = button(name);
  assert.equal(await found.getAttribute('aria-disabled'), 'true', `${name} should be off`);
  await found.hover();
  await visible(page().locator('[role=tooltip]:visible', { hasText: reason }));
  await page().mouse.move(5, 400);
}

async function fillNewLab({ title, image }) {
  await page().getByLabel(say('lab.name')).first().fill(title);
  await page().getByRole('radio', { name: image }).check();
  await button(say('common.next')).click();
  await visible(heading(say('lab.step.credentials')));
  await page().getByLabel(say('session.userName')).fill(kTeacher.name);
  await page().getByLabel(say('session.password'), { exact: false }).first().fill(kTeacher.password);
}

before(async () => {
  assert.ok(url, 'ATELIER_URL is not set');
  tool = await openBrowser({ url, language, screenshots: process.env.ATELIER_SCREENSHOTS });
});

after(async () => {
  if (!tool) return;
  await tool.browser.close();
});

const steps = [];
const step = (name, run) => steps.push([name, run]);

step('signs in and comes back to the page that was asked for', async () => {
  await page().goto('/operations');
  await visible(button(say('session.signIn')));
  await tool.look('sign-in');
  await tool.narrow('sign-in');
  await signIn('certainly-wrong');
  await visible(page().getByText(say('session.refused')));
  await tool.look('sign-in-refused');
  await signIn(password);
  await visible(page().getByRole('heading', { level: 1, name: say('nav.operations') }));
  assert.match(page().url(), /\/operations$/);
});

step('attaches the gallery to the lab account', async () => {
  await openPlace('nav.gallery');
  await visible(page().getByRole('heading', { level: 1, name: say('gallery.title') }));
  const detach = button(say('gallery.detach'));
  const attach = button(say('gallery.attachExisting'));
  await visible(detach.or(attach));
  if (await detach.isVisible()) await detachGallery();
  await visible(attach);
  await tool.look('gallery-not-attached');
  await attach.click();
  const dialog = page().getByRole('dialog');
  await visible(dialog.getByRole('radio').first());
  await tool.look('gallery-attach-dialog');
  await dialog.getByRole('radio', { name: /contosogallery/ }).check();
  await dialog.getByRole('button', { name: say('gallery.attach'), exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });
  await visible(page().getByRole('row').nth(1));
  await visible(page().getByText(say('gallery.replication.Completed')).first(), 60_000);
  await tool.look('gallery-images');
  await tool.narrow('gallery-images');
});

async function detachGallery() {
  await button(say('gallery.detach')).click();
  const dialog = page().getByRole('alertdialog');
  await visible(dialog);
  assert.equal(
    await page().evaluate(() => document.activeElement.textContent),
    say('common.cancel'),
    'a destructive dialog begins on Cancel',
  );
  await tool.look('gallery-detach-dialog');
  await dialog.getByRole('button', { name: say('gallery.detach'), exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });
}

let firstImage;
step('disables and enables an image, and the picker says what it hides', async () => {
  firstImage = (await page().getByRole('row').nth(1).getByRole('cell').nth(1).innerText()).trim();
  await expectReason(say('gallery.disableSelected'), say('gallery.selectFirst'));
  await page().getByRole('checkbox', { name: say('gallery.selectOne', { image: firstImage }) }).check();
  await button(say('gallery.disableSelected')).click();
  const row = page().getByRole('row').filter({ hasText: firstImage });
  await visible(row.getByRole('cell', { name: say('gallery.isDisabled'), exact: true }));
  await openPlace('nav.labs');
  await visible(page().getByRole('heading', { level: 1, name: say('nav.labs') }));
  await tool.look('labs');
  await page().getByRole('link', { name: say('lab.new') }).first().click();
  await visible(heading(say('lab.step.basics')));
  const show = button(say('lab.showHidden'));
  await visible(show);
  await show.click();
  await visible(
    page().getByText(say('lab.hiddenImage', { image: firstImage, reason: say('lab.hiddenReason.disabled') })),
  );
  await tool.look('new-lab-hidden-images');
  await openPlace('nav.gallery');
  await page().getByRole('checkbox', { name: say('gallery.selectOne', { image: firstImage }) }).check();
  await button(say('gallery.enableSelected')).click();
  await visible(row.getByRole('cell', { name: say('gallery.isEnabled'), exact: true }));
});

step('creates a lab from the generalized image and waits for its template VM', async () => {
  await openPlace('nav.labs');
  await page().getByRole('link', { name: say('lab.new') }).first().click();
  await visible(heading(say('lab.step.basics')));
  await tool.look('new-lab-basics');
  await tool.narrow('new-lab-basics');
  await expectReason(say('common.next'), say('lab.fillBasics'));
  await fillNewLab({ title: kTitles[0], image: new RegExp(firstImage) });
  await tool.look('new-lab-credentials');
  await button(say('common.next')).click();
  await visible(heading(say('lab.step.review')));
  await tool.look('new-lab-review');
  await button(say('lab.createLab')).click();
  await visible(page().getByRole('heading', { level: 1, name: kTitles[0] }));
  await tool.shoot('template-creating');
  await vmIs('Running');
  await visible(page().getByText(/^ssh -p \d+ ayumi@/));
  await tool.look('template-running');
  await tool.narrow('template-running');
});

step('says what exporting a running VM means, stops it, and checks the image name while it is typed', async () => {
  await page().locator('[data-testid=running-operation]').waitFor({ state: 'hidden', timeout: kMachineMs });
  await button(say('template.export')).click();
  const dialog = page().getByRole('dialog');
  await visible(dialog);
  const name = dialog.getByLabel(say('template.imageName'));
  await name.fill('my image!');
  assert.equal(await name.getAttribute('aria-invalid'), 'true');
  await name.fill(kImage);
  assert.notEqual(await name.getAttribute('aria-invalid'), 'true');
  await visible(dialog.getByText(say('template.runs')).first());
  await tool.look('export-dialog-vm-runs');
  const exportIt = dialog.getByRole('button', { name: say('template.exportButton'), exact: true });
  assert.notEqual(await exportIt.getAttribute('aria-disabled'), 'true', 'a running VM may be exported');
  await dialog.getByRole('button', { name: say('template.stopVm') }).click();
  await vmIsStoppedBehindTheDialog(dialog);
  await tool.look('export-dialog');
  if (beforeExport) execSync(beforeExport, { stdio: ['ignore', 'inherit', 'inherit'] });
  await exportIt.click();
  await dialog.waitFor({ state: 'hidden' });
});

async function vmIsStoppedBehindTheDialog(dialog) {
  const stopIt = dialog.getByRole('button', { name: say('template.stopVm') });
  await stopIt.waitFor({ state: 'hidden', timeout: kMachineMs });
}

step('shows the progress of the export, also after a reload, until it is completed', async () => {
  const running = page().locator('[data-testid=running-operation]');
  const completed = page().locator('[data-testid=export-completed]');
  // An export of a tiny image alone may end before one can look: then the reload has to show how it ended.
  const shown = beforeExport ? running : running.or(completed).first();
  await visible(shown, kMachineMs);
  if (beforeExport) await visible(running.getByText(say('operation.phases.Reading')), kMachineMs);
  const before = beforeExport ? await percentOf(running) : 0;
  await tool.shoot('export-in-progress');
  await page().reload();
  await visible(running.or(completed).first(), kMachineMs);
  if (await running.isVisible()) {
    const now = await percentOf(running).catch(() => NaN); // it may end between the two looks
    assert.ok(!(now < before), 'the progress went back');
  }
  await tool.shoot('export-after-reload');
  await visible(completed, kMachineMs);
  await visible(completed.getByText(say('template.exportedAs', { image: kImage, version: '1.0.0' })));
  await tool.look('export-completed');
  await tool.narrow('export-completed');
});

/** What the progress bar shows, 0 to 100. */
const percentOf = async (panel) => Number.parseInt(await panel.getByRole('progressbar').getAttribute('aria-valuetext'), 10);

step('creates a new lab from the exported image', async () => {
  await page().getByRole('link', { name: say('template.newLabFromIt') }).click();
  await visible(heading(say('lab.step.basics')));
  const picked = page().getByRole('radio', { name: new RegExp(kImage) });
  await visible(picked);
  assert.ok(await picked.isChecked(), 'the image of the link is chosen');
  await visible(page().getByText(say('lab.specializedNote')));
  await fillNewLab({ title: kTitles[1], image: new RegExp(kImage) });
  await tool.look('new-lab-specialized');
  await button(say('common.next')).click();
  await button(say('lab.createLab')).click();
  await visible(page().getByRole('heading', { level: 1, name: kTitles[1] }));
  await vmIs('Running');
  await tool.look('second-template');
});

step('lists what was done, in operations, labs and gallery', async () => {
  await openPlace('nav.operations');
  await visible(page().getByRole('row').nth(3));
  await tool.look('operations');
  await tool.narrow('operations');
  await page().getByRole('link', { name: say('operation.kinds.ExportImage') }).first().click();
  await visible(page().getByText(say('operation.id'), { exact: true }));
  await tool.look('operation');
  await openPlace('nav.labs');
  await visible(page().getByRole('link', { name: kTitles[1], exact: true }).first());
  await tool.look('labs-two');
  await tool.narrow('labs-two');
  await openPlace('nav.gallery');
  const row = page().getByRole('row').filter({ hasText: kImage });
  await visible(row);
  await row.getByText(say('gallery.replication.Completed')).nth(1).waitFor({ timeout: 120_000 });
  await tool.look('gallery-exported-image');
});

step('shows the same in dark colors and in the other language', async () => {
  await button(say('app.theme.dark')).click();
  await tool.look('gallery-dark');
  await openPlace('nav.operations');
  await tool.look('operations-dark');
  await openPlace('nav.labs');
  await tool.look('labs-dark');
  await button(say('app.theme.light')).click();
  const other = language === 'ja' ? 'en' : 'ja';
  await button(say(`app.languages.${other}`)).click();
  await visible(page().getByRole('heading', { level: 1, name: wordsOf(other)('nav.labs') }));
  await button(say(`app.languages.${language}`)).click();
});

step('deletes a lab after a question, and asks to sign in again when the server refuses the token', async () => {
  await page().getByRole('button', { name: say('lab.deleteNamed', { lab: kTitles[1] }) }).first().click();
  const dialog = page().getByRole('alertdialog');
  await visible(dialog);
  await tool.look('delete-lab-dialog');
  await dialog.getByRole('button', { name: say('common.delete'), exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });
  await page().getByRole('link', { name: kTitles[1], exact: true }).first().waitFor({ state: 'hidden', timeout: kMachineMs });
  await page().evaluate(() => sessionStorage.setItem('atelier.session', JSON.stringify({ token: 'expired', userName: 'admin' })));
  await page().goto('/lab-account/gallery');
  await visible(page().getByText(say('session.ended')));
  await tool.look('session-ended');
  await signIn(password);
  await visible(page().getByRole('heading', { level: 1, name: say('gallery.title') }));
});

test(`the story in the portal (${language})`, { timeout: 840_000 }, async (t) => {
  for (const [name, run] of steps) {
    let failed;
    await t.test(name, async () => {
      try {
        await run();
      } catch (problem) {
        failed = problem;
        await tool.shoot('failed').catch(() => {});
        throw problem;
      }
    });
    if (failed) break; // the next steps build on this one
  }
  assert.deepEqual(tool.complaints, [], 'the browser complained');
});

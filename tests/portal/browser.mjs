// A browser for the portal's journey: Debian's Chromium, in one language; takes screenshots and runs axe on each page.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const fromPortal = createRequire(new URL('../../web/package.json', import.meta.url));
const { chromium } = fromPortal('playwright-core');
const kAxe = readFileSync(fromPortal.resolve('axe-core/axe.min.js'), 'utf8');
const kArguments = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

export const languages = {
  en: JSON.parse(readFileSync(new URL('../../web/src/i18n/en.json', import.meta.url), 'utf8')),
  ja: JSON.parse(readFileSync(new URL('../../web/src/i18n/ja.json', import.meta.url), 'utf8')),
};

/** The portal's own words: say('template.start'), say('gallery.detachTitle', {gallery: 'g'}). */
export const wordsOf = (language) => (path, values = {}) => {
  const text = path.split('.').reduce((node, part) => node[part], languages[language]);
  assert.equal(typeof text, 'string', `no text ${path}`);
  return text.replace(/\{\{(\w+)\}\}/g, (_, name) => String(values[name]));
};

export async function openBrowser({ url, language, screenshots }) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: kArguments });
  const context = await browser.newContext({
    baseURL: url,
    locale: language === 'ja' ? 'ja-JP' : 'en-US',
    viewport: { width: 1280, height: 800 },
    reducedMotion: 'reduce', // else axe may judge the colors of a toast that is still fading in
    ignoreHTTPSErrors: true, // Chromium does not read NODE_EXTRA_CA_CERTS; the tests of the server check its certificate
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`page error: ${error.message}`));
  page.on('console', (message) => {
    const text = message.text();
    // A refusal that the story provokes on purpose is reported by the browser too.
    if (message.type() === 'error' && !/status of (400|401|404)/.test(text)) complaints.push(text);
  });
  let shots = 0;
  if (screenshots) mkdirSync(screenshots, { recursive: true });

  const axe = async (name) => {
    await page.evaluate(kAxe);
    const violations = await page.evaluate(async () =>
      // Fluent's focus trap brackets a dialog with two empty elements that pass the focus on at once.
      (await globalThis.axe.run({ exclude: ['[data-tabster-dummy]'] }, { resultTypes: ['violations'] })).violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target.join(' ')} (${node.failureSummary})`).join('; ')}`,
      ),
    );
    assert.deepEqual(violations, [], `axe on "${name}" in ${language}`);
  };
  const shoot = async (name) => {
    if (!screenshots) return;
    shots += 1;
    // A window as high as the page, so that the bar at the bottom is where it belongs.
    const window = page.viewportSize();
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    if (height > window.height) await page.setViewportSize({ ...window, height });
    await page.screenshot({ path: join(screenshots, `${String(shots).padStart(2, '0')}-${name}.png`) });
    if (height > window.height) await page.setViewportSize(window);
  };
  /** At rest: a screenshot, no axe violation, no text left in the other form, no sideways scrolling. */
  const look = async (name) => {
    await page.mouse.move(640, 4); // no tooltip over the page
    await page.waitForTimeout(300);
    await page.waitForFunction(() =>
      document.getAnimations().every(
        (each) => each.playState !== 'running' || each.effect?.getComputedTiming().iterations === Infinity,
      ),
    );
    await shoot(name);
    await axe(name);
    assert.equal(await page.getAttribute('html', 'lang'), language);
    const text = await page.innerText('body');
    assert.doesNotMatch(text, /\{\{|\b(template|gallery|lab|operation|common)\.[a-z]+[A-Za-z]*\b(?!\.)(?=\s|$)/, 'a text key is shown');
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(overflow <= 1, `"${name}" is ${overflow} px wider than the window`);
  };
  const narrow = async (name) => {
    await page.setViewportSize({ width: 320, height: 640 });
    await look(`${name}-320px`);
    await page.setViewportSize({ width: 1280, height: 800 });
  };
  return { browser, context, page, look, narrow, shoot, complaints };
}

// Fails when the sign-in page needs more script than 250 KiB gzipped (the first load of ux.md).
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const kLimitBytes = 250 * 1024;
const dist = new URL('../dist/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('manifest.json', dist), 'utf8'));

const needed = new Set();
function follow(name) {
  if (needed.has(name)) return;
  needed.add(name);
  for (const next of manifest[name].imports ?? []) follow(next);
}
follow('index.html');
follow('src/features/session/SignInPage.tsx');

let total = 0;
for (const name of needed) {
  const { file } = manifest[name];
  if (file.endsWith('.js')) total += gzipSync(readFileSync(new URL(file, dist))).length;
}
console.log(`first load: ${(total / 1024).toFixed(0)} KiB gzipped script of at most ${kLimitBytes / 1024}`);
if (total > kLimitBytes) process.exit(1);

// Fails when English and Japanese do not hold the same keys, when a text is empty, or when a placeholder
// ({{name}}) or a tag (<1>) is in one language only. Plural forms count as one key: Japanese has only "other".
import { readFileSync } from 'node:fs';

const read = (language) =>
  JSON.parse(readFileSync(new URL(`../src/i18n/${language}.json`, import.meta.url), 'utf8'));

function* texts(node, path = []) {
  for (const [name, value] of Object.entries(node)) {
    if (typeof value === 'string') yield [[...path, name].join('.'), value];
    else yield* texts(value, [...path, name]);
  }
}

const problems = [];
function index(language) {
  const found = new Map();
  for (const [key, text] of texts(read(language))) {
    if (text.trim() === '') problems.push(`${language}: ${key} is empty`);
    const base = key.replace(/_(zero|one|two|few|many|other)$/, '');
    const holes = found.get(base) ?? new Set();
    for (const hole of text.match(/\{\{\s*[\w.]+[^}]*\}\}|<\/?\d+\/?>/g) ?? []) {
      holes.add(hole.replace(/\s|,.*(?=\}\})/g, ''));
    }
    found.set(base, holes);
  }
  return found;
}

const english = index('en');
const japanese = index('ja');
for (const [one, other, name] of [
  [english, japanese, 'ja'],
  [japanese, english, 'en'],
]) {
  for (const [key, holes] of one) {
    const others = other.get(key);
    if (others === undefined) problems.push(`${name}: ${key} is missing`);
    else
      for (const hole of holes)
        if (!others.has(hole)) problems.push(`${name}: ${key} lacks ${hole}`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${english.size} texts in English and Japanese`);

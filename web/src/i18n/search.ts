// Text as people look for it: half and full width, hiragana and katakana, case and spaces make no difference.

export function searchKey(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\u3041-\u3096]/g, (kana) => String.fromCharCode(kana.charCodeAt(0) + 0x60))
    .replace(/\s+/g, '');
}

export function matches(needle: string, ...haystack: (string | undefined)[]): boolean {
  const wanted = searchKey(needle);
  return haystack.some((text) => text !== undefined && searchKey(text).includes(wanted));
}

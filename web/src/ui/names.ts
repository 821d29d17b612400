// What names are legal; the server holds the same rules and has the last word.

/** An image (definition): letters, digits, `_ - .`, the last three inside only; 1 to 80. */
export const isImageName = (name: string) => /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9])?$/.test(name);

/** A gallery: letters, digits, `_` and `.`, the last two inside only; 1 to 80. */
export const isGalleryName = (name: string) => /^[A-Za-z0-9]([A-Za-z0-9_.]{0,78}[A-Za-z0-9])?$/.test(name);

/** A lab or a lab account: begins with a letter or digit, ends with one or `_`; 1 to 80. */
export const isResourceName = (name: string) => /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?$/.test(name);

/** An account that a first boot makes in a Linux guest. */
export const isNewUserName = (name: string) =>
  /^[a-z_][a-z0-9_-]{0,31}$/.test(name) && name !== 'root';

/** An account that the image has already. */
export const isUserName = (name: string) => /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(name);

/** 8 to 72 printable characters of at least three of: lower case, upper case, digits, others. */
export function isPassword(password: string): boolean {
  const kinds = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password));
  return password.length >= 8 && password.length <= 72 && kinds.length >= 3;
}

/** A resource name for a title: "CS101 Spring" is "CS101-Spring"; "" when no word of it begins with a Latin letter. */
export function resourceNameOf(title: string): string {
  const name = title
    .normalize('NFKC')
    .replace(/[^A-Za-z0-9_.]+/g, '-')
    .slice(0, 60)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
  return /^[A-Za-z]/.test(name) ? name : '';
}

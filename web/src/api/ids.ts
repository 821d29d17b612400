// ARM ids: "/subscriptions/S/resourceGroups/G/providers/NS/type/name[/type/name…]". They compare in any case.

export interface ParsedId {
  subscription: string;
  group: string;
  /** The resource's own name: the last segment. */
  name: string;
}

export function parseId(id: string): ParsedId {
  const parts = id.split('/').filter((part) => part !== '');
  const after = (word: string) => {
    const at = parts.findIndex((part) => part.toLowerCase() === word);
    return at === -1 ? '' : (parts[at + 1] ?? '');
  };
  return {
    subscription: after('subscriptions'),
    group: after('resourcegroups'),
    name: parts.at(-1) ?? '',
  };
}

export function sameId(a: string | null | undefined, b: string | null | undefined): boolean {
  return a != null && b != null && a.toLowerCase() === b.toLowerCase();
}

/** True when `id` is `ancestor` itself or lies below it. */
export function isWithin(id: string | null | undefined, ancestor: string): boolean {
  if (id == null) return false;
  const low = id.toLowerCase();
  const top = ancestor.toLowerCase();
  return low === top || low.startsWith(`${top}/`);
}

/** The name that follows `type` in an id: nameAfter(".../images/linux/versions/1.0.0", "images") is "linux". */
export function nameAfter(id: string | undefined, type: string): string | undefined {
  if (id === undefined) return undefined;
  const parts = id.split('/');
  const at = parts.findIndex((part) => part.toLowerCase() === type.toLowerCase());
  return at === -1 ? undefined : parts[at + 1];
}

export function labIdOf(subscription: string, group: string, lab: string): string {
  return `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.LabServices/labs/${lab}`;
}

/** Regions come as "Japan East" or "japaneast". */
export function regionKey(name: string): string {
  return name.toLowerCase().replaceAll(' ', '');
}

// Who is signed in. The token lives in sessionStorage: it survives a reload and ends with the tab.

export interface Session {
  token: string;
  userName: string;
}

const kStorageName = 'atelier.session';

type Listener = () => void;
const listeners = new Set<Listener>();
let current: Session | null = restore();
let ended = false;

function restore(): Session | null {
  try {
    const stored = sessionStorage.getItem(kStorageName);
    if (stored === null) return null;
    const value = JSON.parse(stored) as Partial<Session>;
    if (typeof value.token !== 'string' || typeof value.userName !== 'string') return null;
    return { token: value.token, userName: value.userName };
  } catch {
    return null; // storage is switched off or holds something else: sign in again
  }
}

function publish(next: Session | null) {
  current = next;
  try {
    if (next === null) sessionStorage.removeItem(kStorageName);
    else sessionStorage.setItem(kStorageName, JSON.stringify(next));
  } catch {
    // Without storage the session lasts until the next reload.
  }
  for (const listener of listeners) listener();
}

export const session = {
  get: (): Session | null => current,
  /** True when the server refused the token, so that the sign-in page can say why it is shown. */
  hasEnded: (): boolean => ended,
  begin: (next: Session): void => {
    ended = false;
    publish(next);
  },
  end: (): void => {
    ended = false;
    publish(null);
  },
  /** The server refused `token`. A late answer to an older token must not end a newer session. */
  refuse: (token: string): void => {
    if (current?.token !== token) return;
    ended = true;
    publish(null);
  },
  subscribe: (listener: Listener) => {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  },
};

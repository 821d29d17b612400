import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ApiError, getAll, put, signIn } from './client';
import { session } from './session';

const answers: Response[] = [];
const sent = vi.fn<(target: string, init: RequestInit) => void>();

beforeEach(() => {
  session.begin({ token: 't1', userName: 'admin' });
  vi.stubGlobal('fetch', (target: string, init: RequestInit) => {
    sent(target, init);
    const next = answers.shift();
    return next === undefined ? Promise.reject(new TypeError('no network')) : Promise.resolve(next);
  });
});

afterEach(() => {
  answers.length = 0;
  sent.mockReset();
  session.end();
  vi.unstubAllGlobals();
});

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });

it('follows nextLink by path and query, whatever its host', async () => {
  answers.push(
    json(200, { value: [1], nextLink: 'https://elsewhere.example/subscriptions?api-version=v&$skipToken=a' }),
    json(200, { value: [2], nextLink: null }),
  );
  expect(await getAll('/subscriptions', 'v')).toEqual([1, 2]);
  expect(sent.mock.calls[0]?.[0]).toBe('/subscriptions?api-version=v');
  expect(sent.mock.calls[1]?.[0]).toBe('/subscriptions?api-version=v&$skipToken=a');
});

it("gives the server's own words, code and correlation id", async () => {
  answers.push(
    json(409, { error: { code: 'ImageDisabled', message: 'It is disabled.' } }, { 'x-ms-correlation-request-id': 'c1' }),
  );
  await expect(put('/x', 'v', {})).rejects.toMatchObject({
    status: 409,
    code: 'ImageDisabled',
    message: 'It is disabled.',
    correlationId: 'c1',
  });
});

it('says that a server cannot be reached', async () => {
  await expect(getAll('/x', 'v')).rejects.toMatchObject({ status: 0, code: 'Unreachable' });
});

it('ends the session on 401', async () => {
  answers.push(json(401, { error: { code: 'AuthenticationFailed', message: 'Expired.' } }));
  await expect(getAll('/x', 'v')).rejects.toBeInstanceOf(ApiError);
  expect(session.get()).toBeNull();
  expect(session.hasEnded()).toBe(true);
});

it('keeps a newer session when a late 401 answers an older token', () => {
  session.begin({ token: 't2', userName: 'admin' });
  session.refuse('t1');
  expect(session.get()?.token).toBe('t2');
});

it('signs in and keeps the token for this tab', async () => {
  session.end();
  answers.push(json(200, { access_token: 'new' }));
  await signIn({ userName: 'ayumi', password: 'secret' });
  expect(session.get()).toEqual({ token: 'new', userName: 'ayumi' });
  expect(sessionStorage.getItem('atelier.session')).not.toContain('secret');
});

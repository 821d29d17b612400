// One place that talks HTTP: token, api-version, ARM errors, paging, the server's clock.

import { session } from './session';
import type { Page, ProvisioningState, Resource } from './types';

export const kLabServices = '2023-06-07';
export const kCompute = '2022-03-03';
export const kSubscriptions = '2022-12-01';

const kPagesMax = 50;
const kRequestTimeoutMs = 60_000;

/** A refusal by the server, or the failure to reach it (status 0, code "Unreachable"). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly correlationId?: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

let clockOffsetMs = 0;

/** Now by the server's clock, so that "N seconds ago" is right on a PC whose clock is not. */
export function serverNow(): number {
  return Date.now() + clockOffsetMs;
}

function learnClock(response: Response) {
  const stamp = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(stamp)) return;
  const offset = stamp - Date.now();
  clockOffsetMs = Math.abs(offset) < 2000 ? 0 : offset; // Date has whole seconds only
}

function url(path: string, apiVersion: string, query: Record<string, string> = {}): string {
  const parameters = new URLSearchParams({ 'api-version': apiVersion, ...query });
  return `${path}?${parameters.toString()}`;
}

/** Only path and query of a link are used: behind a proxy its host may be one we cannot reach. */
function local(link: string): string {
  const parsed = new URL(link, window.location.origin);
  return parsed.pathname + parsed.search;
}

async function toError(response: Response): Promise<ApiError> {
  let code = `Http${String(response.status)}`;
  let message = response.statusText;
  try {
    const body = (await response.json()) as { error?: { code?: string; message?: string } };
    code = body.error?.code ?? code;
    message = body.error?.message ?? message;
  } catch {
    // No ARM body: the status has to do.
  }
  const correlation =
    response.headers.get('x-ms-correlation-request-id') ??
    response.headers.get('x-ms-request-id') ??
    undefined;
  return new ApiError(response.status, code, message || code, correlation);
}

async function send(
  method: string,
  target: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  const token = session.get()?.token ?? '';
  const headers: Record<string, string> = {
    Accept: 'application/json',
    'Accept-Language': document.documentElement.lang || 'en',
    Authorization: `Bearer ${token}`,
  };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const limit = AbortSignal.timeout(kRequestTimeoutMs);
  let response: Response;
  try {
    response = await fetch(target, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      cache: 'no-store',
    });
  } catch (problem) {
    if (signal?.aborted === true) throw problem;
    throw new ApiError(0, 'Unreachable', '');
  }
  learnClock(response);
  if (response.status === 401) session.refuse(token);
  if (!response.ok) throw await toError(response);
  return response;
}

async function read<T>(response: Response): Promise<T | undefined> {
  const text = await response.text();
  return text === '' ? undefined : (JSON.parse(text) as T);
}

export async function get<T>(
  path: string,
  apiVersion: string,
  query?: Record<string, string>,
  signal?: AbortSignal,
): Promise<T> {
  return (await (await send('GET', url(path, apiVersion, query), undefined, signal)).json()) as T;
}

export async function getPage<T>(
  path: string,
  apiVersion: string,
  nextLink?: string,
  signal?: AbortSignal,
  query?: Record<string, string>,
): Promise<Page<T>> {
  const target = nextLink === undefined ? url(path, apiVersion, query) : local(nextLink);
  return (await (await send('GET', target, undefined, signal)).json()) as Page<T>;
}

/** Every page of a list, up to a bound that no lab reaches. */
export async function getAll<T>(
  path: string,
  apiVersion: string,
  signal?: AbortSignal,
  query?: Record<string, string>,
): Promise<T[]> {
  const all: T[] = [];
  let next: string | undefined;
  for (let pages = 0; pages < kPagesMax; pages += 1) {
    const page = await getPage<T>(path, apiVersion, next, signal, query);
    all.push(...page.value);
    if (page.nextLink == null || page.nextLink === '') break;
    next = page.nextLink;
  }
  return all;
}

export async function put<T>(path: string, apiVersion: string, body: unknown) {
  return read<T>(await send('PUT', url(path, apiVersion), body));
}

export async function patch<T>(path: string, apiVersion: string, body: unknown) {
  return read<T>(await send('PATCH', url(path, apiVersion), body));
}

export async function post<T>(path: string, apiVersion: string, body?: unknown) {
  return read<T>(await send('POST', url(path, apiVersion), body));
}

export async function remove(path: string, apiVersion: string): Promise<void> {
  await send('DELETE', url(path, apiVersion));
}

/** Waits until a resource has left Creating, Updating and Deleting, and says what became of it. */
export async function settled(
  path: string,
  apiVersion: string,
  tries = 120,
): Promise<ProvisioningState | undefined> {
  for (let i = 0; i < tries; i += 1) {
    const resource = await get<Resource<{ provisioningState?: ProvisioningState }>>(
      path,
      apiVersion,
    );
    const state = resource.properties.provisioningState;
    if (state === undefined || state === 'Succeeded' || state === 'Failed') return state;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return undefined;
}

export interface Credentials {
  userName: string;
  password: string;
}

/** Trades a user name and password for a token and begins the session. */
export async function signIn({ userName, password }: Credentials): Promise<void> {
  let response: Response;
  try {
    response = await fetch('/adfs/oauth2/token', {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'password',
        client_id: 'atelier-portal',
        username: userName,
        password,
      }),
      cache: 'no-store',
    });
  } catch {
    throw new ApiError(0, 'Unreachable', '');
  }
  learnClock(response);
  const body = (await response.json().catch(() => ({}))) as {
    access_token?: string;
    error?: string;
    error_description?: string;
  };
  if (!response.ok || body.access_token === undefined) {
    const code = body.error ?? `Http${String(response.status)}`;
    throw new ApiError(response.status, code, body.error_description ?? code);
  }
  session.begin({ token: body.access_token, userName });
}

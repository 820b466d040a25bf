// Asking the API: the token, errors as problem+json (RFC 9457), pages.

/** An answer that is an error, in the words of the server. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

const KEY = "scorer.token";
let refused: () => void = () => {};

/** The token lives as long as the tab. */
export const token = {
  get: (): string | null => sessionStorage.getItem(KEY),
  set: (value: string): void => sessionStorage.setItem(KEY, value),
  clear: (): void => sessionStorage.removeItem(KEY),
};

/** What is done when a request is answered with 401. */
export function onRefused(then: () => void): void {
  refused = then;
}

export type Query = Record<string, string | number | boolean | null | undefined>;

/** Path and query below the folder the page came from. */
export function address(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, v]) => v !== null && v !== undefined && v !== "");
  const text = new URLSearchParams(given.map(([k, v]) => [k, String(v)])).toString();
  return `v1/${path}${text ? `?${text}` : ""}`;
}

/** A response with its body unread. Throws a Problem for any status that is not 2xx. */
export async function request(path: string, init: RequestInit & { query?: Query } = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const bearer = token.get();
  if (bearer) headers.set("Authorization", `Bearer ${bearer}`);
  let response: Response;
  try {
    response = await fetch(address(path, init.query), { ...init, headers, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, "The scorer does not answer", "Is it running, and the tunnel to it open?");
  }
  if (response.ok) return response;
  if (response.status === 401) refused();
  throw await problem(response);
}

async function problem(response: Response): Promise<Problem> {
  try {
    const body: unknown = await response.json();
    const { title, detail } = body as { title?: unknown; detail?: unknown };
    return new Problem(response.status, String(title ?? response.statusText), String(detail ?? ""));
  } catch {
    return new Problem(response.status, `HTTP ${response.status} ${response.statusText}`, "The answer says no more.");
  }
}

/** Questions under way at most: the scorer answers few at a time, and what is seen first should come first. */
const AT_ONCE = 4;
let under = 0;
const waiting: (() => void)[] = [];

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  while (under >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  under += 1;
  try {
    signal?.throwIfAborted();
    const response = await request(path, { query, ...(signal && { signal }) });
    return (await response.json()) as T;
  } finally {
    under -= 1;
    waiting.shift()?.();
  }
}

/** Sends a body; null where the answer has none. */
export async function send<T>(method: "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T | null> {
  const response = await request(path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  const text = await response.text();
  return text ? (JSON.parse(text) as T) : null;
}

/** A part of a path. Twice for dots, which a browser would take for folders. */
export const part = (text: string): string =>
  encodeURIComponent(text).replace(/^\.+$/, (dots) => "%2E".repeat(dots.length));

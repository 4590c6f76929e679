import { currentKey } from "./session";
import type { ProblemBody } from "./types";

/** An answer that is not a success, as RFC 9457 says it, or the silence of a server. */
export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly detail: string | null;
  readonly errors: { field: string; reason: string }[];
  readonly requestId: string | null;
  readonly retryAfterS: number | null;
  readonly kind: string;

  constructor(body: Partial<ProblemBody> & { status: number; title: string }) {
    super(body.title);
    this.name = "Problem";
    this.status = body.status;
    this.title = body.title;
    this.detail = body.detail ?? null;
    this.errors = body.errors ?? [];
    this.requestId = body.request_id ?? null;
    this.retryAfterS = body.retry_after ?? null;
    this.kind = body.type ?? "about:blank";
  }

  /** Nothing came back at all: the server or the way to it is away. */
  get silent(): boolean {
    return this.status === 0;
  }
}

export const API = "/api/v1";

type Scalar = string | number | boolean | null | undefined;
export type Query = Record<string, Scalar | readonly string[]>;

export function withQuery(path: string, query?: Query): string {
  if (!query) return path;
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === "") continue;
    if (typeof value === "object") for (const one of value) params.append(name, one);
    else params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

export function authHeaders(): Record<string, string> {
  const key = currentKey();
  return key ? { "X-API-Key": key } : {};
}

async function problemOf(response: Response): Promise<Problem> {
  const requestId = response.headers.get("x-request-id");
  const retry = Number(response.headers.get("retry-after"));
  let body: Partial<ProblemBody> = {};
  try {
    body = (await response.json()) as Partial<ProblemBody>;
  } catch {
    // Not every middle box speaks problem+json.
  }
  return new Problem({
    ...body,
    status: response.status,
    title: body.title ?? `The server answered ${response.status}`,
    request_id: body.request_id ?? requestId,
    retry_after: body.retry_after ?? (retry > 0 ? retry : null),
  });
}

interface Options {
  method?: "GET" | "POST" | "PUT";
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export async function send(path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { ...authHeaders(), ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(withQuery(API + path, options.query), {
      method: options.method ?? "GET",
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
    });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Problem({
      status: 0,
      title: "No answer from Plainview",
      detail: "The connection is away. Nothing was changed. Try again when the bar above is gone.",
    });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  const response = await send(path, { query, signal });
  return (await response.json()) as T;
}

/** One key per intent: a repeated click with the same key has one effect. */
export async function post<T>(path: string, body?: unknown, query?: Query): Promise<T> {
  const response = await send(path, {
    method: "POST",
    body: body ?? {},
    query,
    headers: { "Idempotency-Key": crypto.randomUUID() },
  });
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export interface Tagged<T> {
  value: T;
  etag: string | null;
}

export async function getTagged<T>(path: string, signal?: AbortSignal): Promise<Tagged<T>> {
  const response = await send(path, { signal });
  return { value: (await response.json()) as T, etag: response.headers.get("etag") };
}

export async function postIfMatch<T>(path: string, body: unknown, etag: string | null): Promise<T> {
  const headers: Record<string, string> = { "Idempotency-Key": crypto.randomUUID() };
  if (etag) headers["If-Match"] = etag;
  const response = await send(path, { method: "POST", body, headers });
  return (await response.json()) as T;
}

import createClient from "openapi-fetch";
import type { paths } from "./generated/schema";
import { currentKey } from "./session";
import type { ProblemBody, Sharp } from "./types";

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

/** Sends with the key; whatever is not a success is thrown as a `Problem`. */
async function send(request: Request): Promise<Response> {
  for (const [name, value] of Object.entries(authHeaders())) request.headers.set(name, value);
  // One key per intent: a request that is sent twice has one effect.
  if (request.method !== "GET") request.headers.set("Idempotency-Key", crypto.randomUUID());
  let response: Response;
  try {
    response = await fetch(request);
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

/** Every call is checked against the contract: its path, its parameters, its body and its answer. */
export const api = createClient<paths>({ fetch: send });

/** For what the generated contract does not name: one call with a JSON body. */
export async function call<T>(
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  { body, etag, signal }: { body?: unknown; etag?: string; signal?: AbortSignal } = {},
): Promise<Tagged<T>> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag !== undefined) headers["If-Match"] = etag;
  const init: RequestInit = { method, headers, signal };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await send(new Request(new URL(path, location.origin), init));
  const value = response.status === 204 ? undefined : await response.json();
  return { value: value as T, etag: response.headers.get("etag") ?? "*" };
}

interface Answer<T> {
  data?: T;
  response: Response;
}

/** What a call that did not throw brought. */
export async function take<T>(call: Promise<Answer<T>>): Promise<Sharp<T>> {
  return (await takeTagged(call)).value;
}

export interface Tagged<T> {
  value: T;
  /** `*`, any version, when the server named none. */
  etag: string;
}

/** The same with the version, so that a change can say on what it rests. */
export async function takeTagged<T>(call: Promise<Answer<T>>): Promise<Tagged<Sharp<T>>> {
  const { data, response } = await call;
  if (data === undefined) throw new Problem({ status: response.status, title: "The answer was empty" });
  return { value: data as Sharp<T>, etag: response.headers.get("etag") ?? "*" };
}

// The server's API: JSON, and events as they come. Everything that fails is a Failure.
import { key, keyWanted } from "./key.mjs";
import { eventData } from "./sse.mjs";

/** What went wrong, in the server's words where it had any. */
export class Failure extends Error {
  constructor({ status = 0, message = "", code = null, requestId = null, retryAfter = null }) {
    super(message);
    Object.assign(this, { status, code, requestId, retryAfter });
  }
}

export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/** The JSON that answers; `signal` cancels. */
export async function ask(path, body, signal) {
  const response = await send(path, body, signal);
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Failure({ status: response.status, requestId: requestIdOf(response) });
  }
}

/** The chunks of a streamed answer; leaving the loop or `signal` hangs up, which frees the model. */
export async function* stream(path, body, signal) {
  const response = await send(path, { ...body, stream: true }, signal);
  const requestId = requestIdOf(response);
  let isWhole = false;
  try {
    for await (const data of eventData(response.body)) {
      if (data === "[DONE]") {
        isWhole = true;
        return;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw failureOf(chunk.error, { status: 500, requestId });
      yield chunk;
    }
  } catch (error) {
    if (isAbort(error) || error instanceof Failure) throw error;
    throw new Failure({ code: "broken", requestId });
  }
  if (!isWhole) throw new Failure({ code: "broken", requestId });
}

/** Whether the server answers requests now. */
export async function isReady() {
  try {
    return (await fetch("/ready", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

async function send(path, body, signal) {
  const headers = key.value ? { authorization: `Bearer ${key.value}` } : {};
  const options = { headers, signal, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Failure({ code: "unreachable" });
  }
  if (response.ok) return response;
  if (response.status === 401) keyWanted.value = key.value ? "refused" : "missing";
  const told = await response.json().catch(() => ({}));
  throw failureOf(told.error ?? {}, {
    status: response.status,
    requestId: requestIdOf(response),
    retryAfter: Number(response.headers.get("retry-after")) || null,
  });
}

function failureOf(error, more) {
  return new Failure({ message: error.message ?? "", code: error.code ?? null, ...more });
}

function requestIdOf(response) {
  return response.headers.get("x-request-id");
}

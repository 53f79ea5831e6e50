/**
 * Calling a writer until it has answered.
 *
 * @module
 */

import { Backoff } from "../runtime/backoff.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import { CALL_TRY_TIMEOUT_MS } from "../runtime/limits.ts";
import type { Random } from "../runtime/random.ts";
import { CALL_PATH, type CallReply, readReply } from "./call_wire.ts";
import type { HttpAnswer, HttpClient } from "./http_client.ts";

/** One call. */
export interface SentCall {
  readonly name: string;
  /** Stands for this call: however often it is sent, it is executed once. */
  readonly id: string;
  /** `{"args": …}`. */
  readonly body: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What sending works with. */
export interface CallSender {
  readonly client: HttpClient;
  readonly clock: Clock;
  readonly random: Random;
}

const TRY_AGAIN: readonly number[] = [502, 503, 504];

/**
 * Sends a call, again and again where the connection or the writer is lost.
 *
 * @throws {HeadwaterError} `CALL_TIMEOUT` at the deadline; else what was answered.
 * @throws The signal's reason, once it is aborted.
 */
export async function sendCall(
  { client, clock, random }: CallSender,
  { name, id, body, timeoutMs, signal }: SentCall,
): Promise<CallReply> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  const backoff = new Backoff({ clock, random });
  let last = timeoutMs > 0 ? "" : " (there was no time)";
  while (true) {
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) throw timeoutError(name, id, client.url, timeoutMs, last);
    let answer: HttpAnswer | undefined;
    try {
      answer = await client.send({
        method: "POST",
        path: `${CALL_PATH}/${name}/${encodeURIComponent(id)}`,
        body,
        signal,
        timeoutMs: Math.min(leftMs, CALL_TRY_TIMEOUT_MS),
      });
    } catch (error) {
      signal?.throwIfAborted();
      // One that the deadline cut short says less than those before it.
      const isCutShort = clock.monotonicMs() >= deadlineMs;
      if (!isCutShort) last = ` (${messageOf(error)})`;
    }
    if (answer !== undefined) {
      if (!TRY_AGAIN.includes(answer.status)) {
        return readReply(answer.status, answer.text);
      }
      last = ` (status ${answer.status}, ${quote(answer.text)})`;
    }
    const restMs = Math.max(0, deadlineMs - clock.monotonicMs());
    await backoff.pause(signal, restMs);
    signal?.throwIfAborted();
  }
}

function timeoutError(
  name: string,
  id: string,
  url: string,
  timeoutMs: number,
  last: string,
): HeadwaterError {
  return new HeadwaterError(
    "CALL_TIMEOUT",
    `Cannot call "${name}" at ${url}: no answer within ${timeoutMs} ms` +
      `${last}; it may have been executed: call again with the id "${id}"`,
  );
}

/**
 * Asking a writer for rows of a stream.
 *
 * @module
 */

import { z } from "zod";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { CALL_TRY_TIMEOUT_MS } from "../runtime/limits.ts";
import { parseToken, type Token } from "../tokens/token.ts";
import type { HttpClient } from "./http_client.ts";

/** Which rows to ask for: `after < token <= upTo`. */
export interface UpdatesQuery {
  /** The stream's name on the wire. */
  readonly stream: string;
  /** Who has to answer, if it says who it is. */
  readonly instance: string;
  readonly after: Token;
  readonly upTo: Token;
  /** A random name of this request. */
  readonly id: string;
  readonly signal: AbortSignal;
}

/** What was answered. */
export interface FetchedUpdates {
  readonly rows: readonly (readonly [token: Token, row: unknown])[];
  readonly upTo: Token;
  readonly isLimited: boolean;
  /** The writer's life; `undefined` if it is none of ours. */
  readonly run: string | undefined;
  /** Rows up to here may be missing; 0 if it doesn't say. */
  readonly floor: Token;
}

const token = z.int().transform((value) => value as Token);

const updatesBody = z.object({
  updates: z.array(z.tuple([token, z.unknown()])),
  upto_token: token,
  limited: z.boolean(),
});

/**
 * Asks once.
 *
 * @throws {HeadwaterError} `CALL_FAILED` if it answers anything else.
 * @throws What went wrong with the connection.
 */
export async function fetchUpdates(
  client: HttpClient,
  { stream, instance, after, upTo, id, signal }: UpdatesQuery,
): Promise<FetchedUpdates> {
  const path = `/_synapse/replication/get_repl_stream_updates/${stream}/${id}`;
  const { status, header, text } = await client.send({
    method: "GET",
    path: `${path}?from_token=${after}&upto_token=${upTo}`,
    signal,
    timeoutMs: CALL_TRY_TIMEOUT_MS,
  });
  const failed = (problem: string) =>
    new HeadwaterError(
      "CALL_FAILED",
      `Cannot ask ${client.url} for stream "${stream}": ${problem}`,
    );
  if (status !== 200) throw failed(`status ${status}, ${quote(text)}`);
  const answering = header("headwater-instance");
  if (answering !== undefined && answering !== instance) {
    throw failed(
      `instance "${answering}" answers there, not "${instance}"; give each ` +
        "instance's own address",
    );
  }
  const body = updatesBody.safeParse(parse(text));
  if (!body.success) throw failed(`it answers ${quote(text)}`);
  const { updates, upto_token, limited } = body.data;
  return {
    rows: updates,
    upTo: upto_token,
    isLimited: limited,
    run: header("headwater-run"),
    floor: parseToken(Number(header("headwater-floor") ?? 0)),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

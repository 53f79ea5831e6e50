/**
 * The log as people and programs outside of any store read it.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readCommitId, readFloor } from "../log/history.ts";
import { readHorizon } from "../log/horizon.ts";
import { NEWEST_FIRST, tokenIs } from "../log/log_key.ts";
import { NO_STREAM, ROW_SEPARATOR } from "../log/log_schema.ts";
import { toRows } from "../protocol/logged_rows.ts";
import { requireBounds } from "../runtime/bounds.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import type { JsonValue } from "../runtime/json.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import { pause } from "../runtime/waiting.ts";
import { parseToken, type Token, TOKEN_ZERO } from "../tokens/token.ts";
import { type RawRecord, readPages } from "./log_pages.ts";

/** Which part of the log to read. */
export interface ReadLogOptions {
  /**
   * Only this stream.
   *
   * @default {all}
   */
  readonly stream?: string | undefined;
  /**
   * Only what this instance wrote.
   *
   * @default {all}
   */
  readonly instance?: string | undefined;
  /**
   * The token before the first.
   *
   * @default {0}
   */
  readonly after?: number | undefined;
  /**
   * The last token.
   *
   * @default {the last that is complete, or none if it follows}
   */
  readonly upTo?: number | undefined;
  /**
   * Whether to go on with what is written later.
   *
   * @default {false}
   */
  readonly follow?: boolean | undefined;
  /**
   * How often to look for it, in ms.
   *
   * @default {200}
   */
  readonly pollIntervalMs?: number | undefined;
  /** Ends it; the iteration then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The names of {@linkcode ReadLogOptions}. */
export const READ_LOG_OPTIONS: OptionNames<ReadLogOptions> = {
  stream: true,
  instance: true,
  after: true,
  upTo: true,
  follow: true,
  pollIntervalMs: true,
  signal: true,
};

/** The rows of one stream under one token. */
export interface LoggedRecord {
  /** The transaction's token. */
  readonly token: Token;
  /** The stream's name; empty for a transaction that wrote rows of none. */
  readonly stream: string;
  /** Who wrote. */
  readonly instance: string;
  /** When it was committed, by the writer's clock, in ms since 1970. */
  readonly committedMs: number;
  /** Its rows, in order. */
  readonly rows: readonly JsonValue[];
}

const POLL_INTERVAL_MS = 200;

/** The newest record up to a token, as it was when it was read. */
interface Mark {
  readonly token: Token;
  readonly instance: string;
  readonly commitId: string;
}

/**
 * Reads records in token order, up to the log's horizon: whatever commits late,
 * no token is stepped over. Nothing is held open between pages.
 *
 * Promise 7, a rewound log is noticed: one that follows throws once the last
 * record it has come to is not in the log any more, or is another one.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for options that can't be;
 *   `LOG_REWOUND`; `ROW_INVALID` for a row that is no JSON.
 */
export async function* readLog(
  session: Session,
  clock: Clock,
  options: ReadLogOptions,
): AsyncGenerator<LoggedRecord> {
  requireNames("read the log", READ_LOG_OPTIONS, options);
  requireBounds("read the log", options);
  const { stream, instance, follow = false, signal } = options;
  const { pollIntervalMs = POLL_INTERVAL_MS } = options;
  let after = parseToken(options.after ?? TOKEN_ZERO);
  const end = parseToken(options.upTo ?? Number.MAX_SAFE_INTEGER);
  let mark: Mark | undefined;
  while (after < end) {
    signal?.throwIfAborted();
    const horizon = await readHorizon(session, { clock, signal });
    const upTo = horizon < end ? horizon : end;
    if (follow) {
      // The new mark before the old one is looked for, and before any record
      // is given: a log that is rewound in between has lost one of the two.
      const next: Mark | undefined = await readMark(session, upTo);
      if (mark !== undefined) await requireMark(session, mark);
      mark = next ?? mark;
    }
    const range = { after, upTo, stream, instance };
    for await (const page of readPages(session, range, clock)) {
      for (const record of page) {
        signal?.throwIfAborted();
        yield toLogged(record);
      }
    }
    // Where retention has deleted the end, SQLite's horizon is a lower one.
    if (upTo > after) after = upTo;
    if (!follow || after >= end) return;
    await pause(clock, pollIntervalMs, signal);
  }
}

async function readMark(
  session: Session,
  upTo: Token,
): Promise<Mark | undefined> {
  const [row] = await session.rows(
    `SELECT token, instance, commit_id FROM headwater_log
    WHERE ${tokenIs(session.dialect, "<=")}
    ORDER BY ${NEWEST_FIRST[session.dialect]} LIMIT 1`,
    [upTo],
  );
  if (row === undefined) return undefined;
  const [token, instance, commitId] = row;
  return {
    token: parseToken(Number(token)),
    instance: String(instance),
    commitId: String(commitId),
  };
}

async function requireMark(
  session: Session,
  { token, instance, commitId }: Mark,
): Promise<void> {
  const found = await readCommitId(session, instance, token);
  if (found === commitId) return;
  if (found === undefined && token <= await readFloor(session)) return;
  throw new HeadwaterError(
    "LOG_REWOUND",
    `Cannot follow the log: token ${token} of instance "${instance}" is not ` +
      "what it was; the database was restored, or lost writes: read it anew",
  );
}

function toLogged(record: RawRecord): LoggedRecord {
  const { token, stream, instance, committedMs, body } = record;
  const texts = stream === NO_STREAM && body === ""
    ? []
    : toRows(stream, body.split(ROW_SEPARATOR));
  const rows = texts.map((text, index): JsonValue => {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new HeadwaterError(
        "ROW_INVALID",
        `Cannot read token ${token} of stream "${stream}": row ${
          index + 1
        } is ` +
          `no JSON (${messageOf(error)}); headwater verify lists all such`,
        { cause: error },
      );
    }
  });
  return { token: parseToken(token), stream, instance, committedMs, rows };
}

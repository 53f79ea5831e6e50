/**
 * Waiting, in the process that writes.
 *
 * @module
 */

import type { Lease } from "../log/lease.ts";
import type { WaitReached } from "../replication/reader_position.ts";
import {
  WAIT_FOR_OPTIONS,
  type WaitForOptions,
} from "../replication/wait_for.ts";
import { requireTimeout } from "../runtime/bounds.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { requireNames } from "../runtime/option_names.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Holders } from "../tokens/holders.ts";
import type { Position, Wanted } from "../tokens/position.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";

/** What the writing process knows. */
export interface OwnPosition {
  readonly instance: string;
  /** How far it is complete. */
  readonly position: Position;
  /** The last token that it took. */
  readonly lastTaken: Token;
  /** Who has held its name, this process last. */
  readonly holders: Holders;
  readonly streams: StreamRegistry;
}

/** Who holds a name, as its position's text has it. */
export function marksOf({ instance, holders }: Lease): Map<string, string> {
  const { text } = holders;
  return new Map(text === undefined ? [] : [[instance, text]]);
}

/**
 * Says at once whether this process's reads contain a position: its own commits
 * do as soon as they are made. It hears nothing of others', and its caches are
 * not told of them, so it can't answer for those.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for another instance's token;
 *   `LOG_REWOUND` for one that this log has not given; `STREAM_UNKNOWN`.
 * @throws The signal's reason, if it is aborted.
 */
export function requireReached(
  { instance, position, lastTaken, holders, streams }: OwnPosition,
  wanted: Wanted,
  options: WaitForOptions,
): WaitReached {
  requireNames("wait", WAIT_FOR_OPTIONS, options);
  requireTimeout("wait", options.timeoutMs);
  for (const stream of options.streams ?? []) {
    streams.get(typeof stream === "string" ? stream : stream.name);
  }
  options.signal?.throwIfAborted();
  for (const [name, token] of wanted.position) {
    if (token === TOKEN_ZERO) continue;
    if (name !== instance) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot wait for token ${token} of instance "${name}": this writer ` +
          `store is "${instance}" and is not told what others write; ` +
          "connect a SlavedStore",
      );
    }
    const holder = wanted.marks.get(name);
    if (
      token > lastTaken ||
      holder !== undefined && !holders.contains(holder, token)
    ) {
      throw new HeadwaterError(
        "LOG_REWOUND",
        `Cannot wait for token ${token} of instance "${name}": the last one it ` +
          `wrote is ${lastTaken}; the log was restored to before that token, ` +
          "which may have been given again, or it is of another log",
      );
    }
  }
  return { outcome: "reached", position };
}

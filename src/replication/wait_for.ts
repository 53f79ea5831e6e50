/**
 * Waiting until a reader has got somewhere.
 *
 * @module
 */

import { requireTimeout } from "../runtime/bounds.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { WAIT_TIMEOUT_MS } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import type { Stream } from "../streams/stream.ts";
import type { StreamRegistry } from "../streams/stream_registry.ts";
import type { Position, Wanted } from "../tokens/position.ts";
import type { Token } from "../tokens/token.ts";
import {
  type ReaderPosition,
  type WaitOutcome,
  type WaitReached,
  WaitTimeoutError,
} from "./reader_position.ts";
import type { TransactionApplier } from "./transaction_applier.ts";

/** How to wait for a write. */
export interface WaitForOptions extends WaitOptions {
  /**
   * Streams whose handlers must be through as well. One position counts for all
   * streams of the log, and `waitFor` waits for it in any case: by then every
   * invalidation is done and every handler has been called. A handler with a
   * retry policy that failed may still have the batch before it; naming its
   * stream waits for that too, until it is done with or given up.
   *
   * @default {none}
   */
  readonly streams?: readonly (Stream | string)[] | undefined;

  /**
   * What happens at the deadline: `"reject"` with a `WaitTimeoutError`, or
   * `"return"` `{ outcome: "timeout", position }`.
   *
   * @default {"reject"}
   */
  readonly onTimeout?: "reject" | "return" | undefined;
}

/** The names of {@linkcode WaitForOptions}. */
export const WAIT_FOR_OPTIONS: OptionNames<WaitForOptions> = {
  streams: true,
  onTimeout: true,
  signal: true,
  timeoutMs: true,
};

/** What a wait is done with. */
export interface WaitParts {
  readonly position: ReaderPosition;
  readonly applier: TransactionApplier;
  readonly streams: StreamRegistry;
  readonly clock: Clock;
}

/**
 * Waits until a position is applied, and the handlers that are asked for are
 * through with it.
 *
 * @throws {WaitTimeoutError} `WAIT_TIMEOUT` at the deadline, unless it is to be returned.
 * @throws {HeadwaterError} `STREAM_UNKNOWN`; `INVALID_ARGUMENT`;
 *   `LOG_REWOUND`; `CLOSED`.
 */
export async function waitForPosition(
  parts: WaitParts,
  wanted: Wanted,
  options: WaitForOptions,
): Promise<WaitOutcome> {
  requireNames("wait", WAIT_FOR_OPTIONS, options);
  const { onTimeout = "reject", streams = [] } = options;
  requireTimeout("wait", options.timeoutMs);
  if (onTimeout !== "reject" && onTimeout !== "return") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot wait: onTimeout is ${
        String(onTimeout)
      }; give "reject" or "return"`,
    );
  }
  const names = streams.map((stream) => {
    const name = typeof stream === "string" ? stream : stream.name;
    return parts.streams.get(name).name;
  });
  try {
    return await wait(parts, wanted, names, options);
  } catch (error) {
    if (onTimeout === "reject" || !(error instanceof WaitTimeoutError)) {
      throw error;
    }
    return { outcome: "timeout", position: error.position };
  }
}

async function wait(
  { position, applier, clock }: WaitParts,
  wanted: Wanted,
  streams: readonly string[],
  options: WaitOptions,
): Promise<WaitReached> {
  const { timeoutMs = WAIT_TIMEOUT_MS, signal } = options;
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  const reached = await position.waitFor(
    wanted.position,
    options,
    wanted.marks,
  );
  if (streams.length === 0) return reached;
  position.requireOpen();
  if (applier.hasPassed(streams, wanted.position)) return reached;
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const end = () => {
      cancelTimer();
      signal?.removeEventListener("abort", abort);
    };
    const fail = (reason: unknown) => {
      end();
      reject(reason);
    };
    const abort = () => fail(signal?.reason);
    const cancelTimer = clock.schedule(
      () =>
        fail(
          behindError(wanted.position, streams, position.current, timeoutMs),
        ),
      Math.max(0, deadlineMs - clock.monotonicMs()),
    );
    signal?.addEventListener("abort", abort);
    applier.passed(streams, wanted.position).then(() => {
      end();
      resolve();
    });
  });
  // Closing forgets what handlers have before them.
  position.requireOpen();
  return reached;
}

function behindError(
  wanted: Position,
  streams: readonly string[],
  position: Position,
  timeoutMs: number,
): WaitTimeoutError {
  const [instance, token] = [...wanted][0] as [string, Token];
  return new WaitTimeoutError(
    instance,
    token,
    position,
    timeoutMs,
    `it is applied, and a handler of ${streams.join(", ")} that failed is ` +
      "still being called again",
  );
}

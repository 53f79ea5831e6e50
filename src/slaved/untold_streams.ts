/**
 * Noticing that a stream that is to be followed is written by nobody.
 *
 * @module
 */

import type { CancelTimer, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/** How long, in ms, writers may take to tell of all their streams. */
const TELLING_MS = 2_000;

/** What {@linkcode UntoldStreams} works with. */
export interface UntoldStreamsOptions {
  /** The streams that are wanted; all if `undefined`. */
  readonly wanted: readonly string[] | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Knows which streams writers have told of; says once which of those wanted they have not. */
export class UntoldStreams {
  readonly #options: UntoldStreamsOptions;
  readonly #told = new Set<string>();
  #cancel: CancelTimer | undefined;

  /** Constructs one that nothing has been told. */
  constructor(options: UntoldStreamsOptions) {
    this.#options = options;
  }

  /** A writer has told where a stream is. */
  told(stream: string): void {
    const { wanted, clock } = this.#options;
    if (wanted === undefined) return;
    if (this.#told.size < MAX_TOLD || wanted.includes(stream)) {
      this.#told.add(stream);
    }
    this.#cancel ??= clock.schedule(() => this.#tell(wanted), TELLING_MS);
  }

  /** Says nothing any more. */
  close(): void {
    this.#cancel?.();
  }

  #tell(wanted: readonly string[]): void {
    const streams = wanted.filter((stream) => !this.#told.has(stream));
    if (streams.length === 0) return;
    this.#options.logger("warn", "no writer has told of streams to follow", {
      streams: streams.join(", "),
      told: [...this.#told].sort().join(", "),
    });
  }
}

/** Names that are remembered beside those that are wanted: far more than writers have. */
const MAX_TOLD = 1_000;

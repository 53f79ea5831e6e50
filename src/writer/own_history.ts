/**
 * Whether the log still has what this writer has committed.
 *
 * @module
 */

import { HeadwaterError } from "../runtime/errors.ts";

/** What {@linkcode OwnHistory} works with. */
export interface OwnHistoryOptions {
  readonly instance: string;
  /** How often a connection to the server was lost so far. */
  readonly disconnections: () => number;
  /** Whether the transaction that was committed last is in the log. */
  readonly isInHistory: () => Promise<boolean>;
}

/**
 * Promise 7, for the writer's own part: after a connection was lost it may meet
 * a server that has forgotten what was acknowledged.
 */
export class OwnHistory {
  readonly #options: OwnHistoryOptions;
  #checkedDisconnections = 0;
  #rewound: HeadwaterError | undefined;

  /** Constructs one for a writer that has not been disconnected. */
  constructor(options: OwnHistoryOptions) {
    this.#options = options;
  }

  /**
   * Looks in the log if a connection was lost since the last time.
   *
   * @throws {HeadwaterError} `LOG_REWOUND`, from the first time on that it is.
   */
  require(): Promise<void> | undefined {
    if (this.#rewound !== undefined) throw this.#rewound;
    const disconnections = this.#options.disconnections();
    return disconnections === this.#checkedDisconnections
      ? undefined
      : this.#check(disconnections);
  }

  async #check(disconnections: number): Promise<void> {
    const { instance, isInHistory } = this.#options;
    if (!await isInHistory()) {
      this.#rewound = new HeadwaterError(
        "LOG_REWOUND",
        `Cannot write as instance "${instance}": the last transaction it ` +
          "committed is not in the log any more; the database was restored, or " +
          "failed over to a copy that lacks it; open the writer store again",
      );
      throw this.#rewound;
    }
    this.#checkedDisconnections = disconnections;
  }
}

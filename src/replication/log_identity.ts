/**
 * Which log a store stands on, and its positions as text.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readLogId } from "../log/identity.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import {
  type Position,
  toWanted,
  type WaitTarget,
  type Wanted,
} from "../tokens/position.ts";
import { formatPositionText } from "../tokens/position_text.ts";

/** Knows the log's identity, once it has been read. */
export class LogIdentity {
  readonly #session: Session;
  #id: string | undefined;

  /** Constructs one that knows nothing yet. */
  constructor(session: Session) {
    this.#session = session;
  }

  /** Its id; `undefined` before it is read, or where there is none. */
  get id(): string | undefined {
    return this.#id;
  }

  /** Reads it; again, where the database may be another by now. */
  async read(): Promise<void> {
    this.#id = await readLogId(this.#session);
  }

  /**
   * A position as text.
   *
   * @param position How far it is.
   * @param marks By instance, who holds its name, as text.
   * @throws {HeadwaterError} `DATABASE_INVALID` if the tables are of a release
   *   that gave logs no identity.
   */
  format(position: Position, marks: ReadonlyMap<string, string>): string {
    if (this.#id !== undefined) {
      return formatPositionText(this.#id, position, marks);
    }
    throw new HeadwaterError(
      "DATABASE_INVALID",
      "Cannot give a position as text: the log's tables are of an older release " +
        "and have no identity; open a WriterStore of this release on them, then " +
        "connect again",
    );
  }

  /** What to wait for. Errors as of {@linkcode toWanted}. */
  parse(target: WaitTarget): Wanted {
    return toWanted(target, this.#id);
  }
}

/**
 * Lines that come back from a channel on which everybody hears everybody.
 *
 * @module
 */

/** The command that goes on to everybody else. */
export const RELAYED = "REMOTE_SERVER_UP";

/** Far more than are on their way at a time; one that is lost on it stays here. */
const MAX_ECHOES = 100;

/** Remembers what was said there, so that it is not taken for news. */
export class Echoes {
  #lines: string[] = [];

  /** A line was said. */
  add(line: string): void {
    this.#lines = [...this.#lines, line].slice(-MAX_ECHOES);
  }

  /** Whether a line that was heard is one's own; once for each time that it was said. */
  take(line: string): boolean {
    const index = this.#lines.indexOf(line);
    if (index < 0) return false;
    this.#lines.splice(index, 1);
    return true;
  }
}

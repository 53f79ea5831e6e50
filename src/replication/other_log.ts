/**
 * A reader and a writer that stand on two databases, which a wrong address or a
 * wrong URL makes of one: what the one invalidates the other doesn't have.
 *
 * @module
 */

const OTHER_LOG = "another log";

/** What a writer says to a reader of another log, before it hangs up. */
export function otherLogText(): string {
  return `${OTHER_LOG}: this writer's database is not the reader's; check both URLs`;
}

/** Whether an ERROR says so. */
export function isOtherLog(text: string): boolean {
  return text.startsWith(OTHER_LOG);
}

/**
 * The error class, and the one assertion, of the whole package.
 *
 * @module
 */

/** Why an operation failed. Codes are part of the API: never renamed, never reused. */
export type ErrorCode =
  | "AGGREGATE_CLOSED"
  | "BUG"
  | "CALL_FAILED"
  | "CALL_REFUSED"
  | "CALL_TIMEOUT"
  | "CALL_UNKNOWN"
  | "CLOSED"
  | "COMMIT_UNKNOWN"
  | "CONNECT_TIMEOUT"
  | "DATABASE_BUSY"
  | "DATABASE_FULL"
  | "DATABASE_INVALID"
  | "DATABASE_READ_ONLY"
  | "DATABASE_UNAVAILABLE"
  | "EVENTS_DELETED"
  | "EVENT_ID_USED"
  | "EVENT_INVALID"
  | "GROUP_UNKNOWN"
  | "INSTANCE_HELD"
  | "INVALID_ARGUMENT"
  | "KEY_INVALID"
  | "LEASE_LOST"
  | "LINE_INVALID"
  | "LINE_TOO_LONG"
  | "LISTEN_FAILED"
  | "LOG_REWOUND"
  | "NOT_CACHED"
  | "OVERLOADED"
  | "POSITION_FOREIGN"
  | "POSITION_INVALID"
  | "PROJECTION_UNKNOWN"
  | "ROWS_DELETED"
  | "ROW_INVALID"
  | "ROW_TOO_LONG"
  | "SCHEMA_TOO_NEW"
  | "STREAM_UNKNOWN"
  | "TOKENS_EXHAUSTED"
  | "TOO_MANY_USERS"
  | "TRANSACTION_ENDED"
  | "TRANSACTION_TOO_LARGE"
  | "UNAUTHORIZED"
  | "VERSION_CONFLICT"
  | "WAIT_TIMEOUT";

/**
 * A failure that a caller may meet and handle.
 *
 * The message states what could not be done, the values at hand and what to do
 * about it: `Cannot <verb> <noun>: <state>; <remedy>`. Match on {@linkcode code},
 * never on the message.
 */
export class HeadwaterError extends Error {
  /** The class's name, as it stands in stack traces. */
  override readonly name: string = "HeadwaterError";

  /** What went wrong, for programs. */
  readonly code: ErrorCode;

  /**
   * Constructs an error that names its cause and its remedy.
   *
   * @param code What went wrong, for programs.
   * @param message What went wrong, for people.
   * @param options The `cause`, when another error led to this one.
   */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Stops the program where its own reasoning has failed. What a user or the
 * network may get wrong is not asserted: it has a code of its own.
 *
 * @param condition What must hold.
 * @param expectation What must hold, in words.
 * @throws {HeadwaterError} `BUG` if it does not hold.
 */
export function assert(
  condition: boolean,
  expectation: string,
): asserts condition {
  if (!condition) {
    throw new HeadwaterError(
      "BUG",
      `Bug in headwater: expected ${expectation}`,
    );
  }
}

/**
 * Text from outside, fit for a message: quoted, control characters escaped, and
 * cut at 200 characters.
 *
 * @param text The text to quote.
 * @returns The text as a JSON string, `…` standing for what was cut.
 */
export function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

/**
 * A value that was given where another was wanted, fit for a message: `5` and
 * `"5"` are told apart.
 *
 * @param value The value to show.
 */
export function show(value: unknown): string {
  return typeof value === "string" ? quote(value) : String(value);
}

/**
 * What an unknown thrown value says.
 *
 * @param error Whatever was thrown.
 * @returns Its message, or the value as text.
 */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

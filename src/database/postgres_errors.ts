/**
 * PostgreSQL's failures in the user's words.
 *
 * @module
 */

import postgres from "postgres";
import {
  type ErrorCode,
  HeadwaterError,
  messageOf,
} from "../runtime/errors.ts";

const UNREACHABLE =
  "check that the server runs and can be reached; it is tried again by itself";

/** By SQLSTATE, or by its class, or by the code of postgres.js or of the socket. */
const KINDS: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [
    /^53100$/,
    "DATABASE_FULL",
    "free some space; nothing of this transaction was kept",
  ],
  [
    /^53300$/,
    "DATABASE_BUSY",
    "the server has no connection left; lower maxWriteConnections and maxReadConnections here, or raise max_connections there",
  ],
  [
    /^53/,
    "DATABASE_BUSY",
    "the server has come to a limit of its memory or its settings; ask for less at a time, or raise it there",
  ],
  [
    /^57014$/,
    "DATABASE_BUSY",
    "the statement took too long; write less at a time, or raise statementTimeoutMs",
  ],
  [
    /^(?:55P03|25P03|25P04)$/,
    "DATABASE_BUSY",
    "another transaction held on for too long; try again",
  ],
  [
    /^(?:25006|42501)$/,
    "DATABASE_READ_ONLY",
    "give a user that may write, and a server that is no replica; a store's own db only reads",
  ],
  [
    /^(?:28|3D000)/,
    "DATABASE_INVALID",
    "check the user, the password and the database's name in the URL",
  ],
  [
    /^(?:XX00[12]$|58)/,
    "DATABASE_INVALID",
    "the server's files are damaged, or can't be read; look at its log, and restore a copy",
  ],
  [
    /^(?:08|57P0)/,
    "DATABASE_UNAVAILABLE",
    UNREACHABLE,
  ],
  [
    /^(?:CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT)/,
    "DATABASE_UNAVAILABLE",
    UNREACHABLE,
  ],
];

/** What the server says as it turns a connection away for what the URL asks of it. */
const URL_KINDS: typeof KINDS = [
  [
    /^42704$/,
    "INVALID_ARGUMENT",
    "the server does not know this parameter of the URL; correct it, or take it out",
  ],
  [
    /^22023$/,
    "INVALID_ARGUMENT",
    "the server does not take this value of the URL's parameter; give another",
  ],
];

const ENDED = [
  /^/,
  "DATABASE_UNAVAILABLE",
  "the server ended the connection; look at its log; it is tried again by itself",
] as const;

/** Codes of postgres.js and of the socket, where it is the connection that failed. */
const BROKEN =
  /^(?:CONNECTION_|E(?:CONN|PIPE|TIMEDOUT|NET|HOST)|ERR_(?:SSL|TLS|SOCKET|STREAM))/;

/**
 * The connection failed under a transaction. Made where the driver says so: the
 * same code in an error of the user's says nothing of this database.
 */
export class LostConnectionError extends HeadwaterError {
  /** Made of what postgres.js gave. */
  constructor(cause: unknown) {
    super(
      "DATABASE_UNAVAILABLE",
      "Cannot go on with the transaction: the connection to the database was " +
        `lost (${messageOf(cause) || postgresCodeOf(cause)}); ${UNREACHABLE}`,
      { cause },
    );
  }
}

/** A commit whose answer was lost with the connection. */
export class CommitUnknownError extends HeadwaterError {
  /** The server's process that was to commit; it may yet do so. */
  readonly backend: number | undefined;

  /** Made where the connection is lost. */
  constructor(backend: number | undefined, cause: unknown) {
    super(
      "COMMIT_UNKNOWN",
      "Cannot tell whether the transaction was committed: the connection was " +
        "lost before the server's answer came; read what it wrote, and decide anew",
      { cause },
    );
    this.backend = backend;
  }
}

/** Serialization failure and deadlock: the same again, a moment later, may do. */
/** Data exceptions, and violated constraints. */
const REFUSAL = /^2[23]/;
const CONFLICT = /^40(?:001|P01)$/;

/** PostgreSQL's code, or the socket's; empty for any other error. */
export function postgresCodeOf(error: unknown): string {
  const { code } = Object(error) as { code?: unknown };
  return typeof code === "string" ? code : "";
}

/** Whether it is an answer: the server's own words, not the connection's end. */
export function isAnswer(error: unknown): boolean {
  return error instanceof postgres.PostgresError;
}

/** Whether the server's process gave up with this answer: it does nothing after it. */
export function isLastAnswer(error: unknown): boolean {
  return error instanceof postgres.PostgresError &&
    (error.severity === "FATAL" || error.severity === "PANIC");
}

/** Whether the connection is not to be used after this error. */
export function endsConnection(error: unknown): boolean {
  return isAnswer(error)
    ? isLastAnswer(error)
    : BROKEN.test(postgresCodeOf(error));
}

/** Whether a transaction failed for what went on beside it, and may be run again. */
export function isConflict(error: unknown): boolean {
  return isAnswer(error) && CONFLICT.test(postgresCodeOf(error));
}

/** Whether the server refused what was written, by its type or a constraint. */
export function isRefusal(error: unknown): boolean {
  return isAnswer(error) && REFUSAL.test(postgresCodeOf(error));
}

/** Whether the connection was lost, or could not be made. */
export function isDisconnection(error: unknown): boolean {
  if (error instanceof HeadwaterError) {
    return error.code === "DATABASE_UNAVAILABLE";
  }
  return isAnswer(error) && kindOf(error)?.[1] === "DATABASE_UNAVAILABLE";
}

/** What an error is; whatever else the server ends a connection for may pass. */
function kindOf(error: unknown): typeof KINDS[number] | undefined {
  const code = postgresCodeOf(error);
  const isLast = isLastAnswer(error);
  // Of a statement, the same says something of the user's SQL.
  const kinds = isLast ? [...URL_KINDS, ...KINDS] : KINDS;
  return kinds.find(([pattern]) => pattern.test(code)) ??
    (isLast ? ENDED : undefined);
}

/**
 * A failure of PostgreSQL's as an error that says what could not be done.
 *
 * @param action What was being done: `run "rename" on postgres://host/db`.
 * @param error What postgres.js threw.
 * @returns An error with a code and a remedy, or the same one where it is not
 *   of a known kind: a constraint or a mistake in SQL is the user's own.
 */
export function describePostgresError(
  action: string,
  error: unknown,
): unknown {
  if (error instanceof LostConnectionError) {
    const { cause } = error;
    return new HeadwaterError(
      "DATABASE_UNAVAILABLE",
      `Cannot ${action}: ${
        messageOf(cause) || postgresCodeOf(cause)
      }; ${UNREACHABLE}`,
      { cause },
    );
  }
  if (error instanceof HeadwaterError) return error;
  const [, code, remedy] = kindOf(error) ?? [];
  if (code === undefined) return error;
  return new HeadwaterError(
    code,
    `Cannot ${action}: ${messageOf(error) || postgresCodeOf(error)}; ${remedy}`,
    { cause: error },
  );
}

/**
 * As {@linkcode describePostgresError}, where a user's function may have thrown
 * it: what is not the driver's is left as it is.
 */
export function describeIfRaised(action: string, error: unknown): unknown {
  return isAnswer(error) || error instanceof LostConnectionError
    ? describePostgresError(action, error)
    : error;
}

/**
 * Calls and their answers, as both ends write them.
 *
 * @module
 */

import { z } from "zod";
import { VersionConflictError } from "../events/version_conflict.ts";
import {
  type ErrorCode,
  HeadwaterError,
  quote,
  show,
} from "../runtime/errors.ts";
import type { JsonValue } from "../runtime/json.ts";
import { isHolderText } from "../tokens/holders.ts";
import type { Token } from "../tokens/token.ts";

/** Where calls go; the name and the id follow. */
export const CALL_PATH = "/_headwater/call";

/** A call that was executed. */
export interface CallAnswer {
  readonly instance: string;
  readonly token: Token;
  /** Who holds the instance's name, as text; as far as it is known. */
  readonly holder?: string | undefined;
  /** The result, as JSON. */
  readonly response: string;
}

/** An answer, read. */
export interface CallReply {
  readonly result: JsonValue;
  readonly instance: string;
  readonly token: Token;
  /** Who holds the instance's name, as text; an older release does not say it. */
  readonly holder?: string | undefined;
}

/** What a handler refused with an error of its own: it travels as a message. */
export class CallRefusal extends HeadwaterError {
  /** Made of whatever the handler threw. */
  constructor(name: string, message: string, options?: ErrorOptions) {
    super("CALL_REFUSED", `Call "${name}" was refused: ${message}`, options);
  }
}

/** A failure on its way to whoever asked. */
export interface Failure {
  readonly status: 400 | 422 | 500 | 503;
  readonly errcode: string;
  readonly code: string;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** What others may see of a failure; what nobody foresaw stays in the log. */
export function describeFailure(error: unknown): Failure {
  if (!(error instanceof HeadwaterError)) {
    const message = "Cannot answer: the request failed; the server's log " +
      "says why";
    return { status: 500, errcode: "M_UNKNOWN", code: "CALL_FAILED", message };
  }
  const { code, message } = error;
  const failure = {
    status: statusOf(error),
    errcode: "M_UNKNOWN",
    code,
    message,
  };
  if (!(error instanceof VersionConflictError)) return failure;
  const { aggregate, expectedVersion, actualVersion } = error;
  return { ...failure, data: { aggregate, expectedVersion, actualVersion } };
}

/** A call that can't be taken: its name or its arguments are at fault. */
export class CallInvalid extends HeadwaterError {}

/** What a caller may choose: no id of two calls is the same. */
const ID = /^[A-Za-z0-9_-]{16,64}$/;

/**
 * Refuses what can't stand for a call, at both ends.
 *
 * @throws {CallInvalid} `INVALID_ARGUMENT`.
 */
export function requireCallId(name: string, id: unknown): void {
  if (typeof id === "string" && ID.test(id)) return;
  throw new CallInvalid(
    "INVALID_ARGUMENT",
    `Cannot call "${name}" with the id ${show(id)}: give 16 to 64 letters, ` +
      'digits, "-" or "_", at random',
  );
}

function statusOf(error: HeadwaterError): Failure["status"] {
  if (error instanceof CallInvalid) return 400;
  switch (error.code) {
    case "CLOSED":
    case "COMMIT_UNKNOWN":
    case "DATABASE_BUSY":
    case "DATABASE_UNAVAILABLE":
    case "LEASE_LOST":
    case "LOG_REWOUND":
      // Another try may find it otherwise.
      return 503;
    case "BUG":
    case "DATABASE_FULL":
    case "DATABASE_INVALID":
    case "DATABASE_READ_ONLY":
      return 500;
    default:
      return 422;
  }
}

const failureBody = z.object({
  code: z.string().regex(/^[A-Z][A-Z_]{0,63}$/),
  error: z.string(),
  data: z.unknown().optional(),
});

const conflict = z.object({
  aggregate: z.string(),
  expectedVersion: z.union([
    z.int().nonnegative(),
    z.enum(["any", "none", "exists"]),
  ]),
  actualVersion: z.int().nonnegative(),
});

const replyBody = z.object({
  result: z.custom<JsonValue>((value) => value !== undefined),
  instance: z.string(),
  token: z.int().nonnegative().transform((token) => token as Token),
  holder: z.string().refine(isHolderText).optional(),
});

/**
 * Reads an answer.
 *
 * @throws {HeadwaterError} What the other end said; `CALL_FAILED` if it is no
 *   answer of a writer store.
 */
export function readReply(status: number, text: string): CallReply {
  const body = parse(text);
  if (status === 200) {
    const reply = replyBody.safeParse(body);
    if (reply.success) return reply.data;
  }
  const failure = failureBody.safeParse(body);
  if (status === 200 || !failure.success) {
    throw new HeadwaterError(
      "CALL_FAILED",
      `Cannot call: what answers there is no writer store (status ${status}, ` +
        `${quote(text)}); check the address`,
    );
  }
  const { code, error, data } = failure.data;
  if (code === "VERSION_CONFLICT") {
    const known = conflict.safeParse(data);
    if (known.success) {
      const { aggregate, expectedVersion, actualVersion } = known.data;
      throw new VersionConflictError(aggregate, expectedVersion, actualVersion);
    }
  }
  // A newer release may have codes that this one has no name for.
  throw new HeadwaterError(code as ErrorCode, error);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Positions: how far a reader has got, instance by instance.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { parsePositionText } from "./position_text.ts";
import { parseToken, type Token } from "./token.ts";

/**
 * Instance → the token up to which its transactions are processed. Every
 * transaction of that instance up to the token is contained, none after it.
 */
export type Position = ReadonlyMap<string, Token>;

/** What a write returns: enough to wait for it anywhere. */
export interface Commit<Result = unknown> {
  /** The instance that wrote. */
  readonly instance: string;
  /** The transaction's place in that instance's log. */
  readonly token: Token;
  /** What the transaction's function returned. */
  readonly result: Result;
  /** How often it was run until it was committed; 1 unless PostgreSQL gave one up. */
  readonly attempts: number;
}

/**
 * What can be waited for: a commit (its result may be left out), a position, or
 * the text that `currentToken()` gave. Tokens may be plain numbers, as they are
 * after a way through JSON.
 */
export type WaitTarget =
  | string
  | { readonly instance: string; readonly token: number }
  | ReadonlyMap<string, number>;

/**
 * Checks that something can be waited for, and gives it as a position.
 *
 * @param target A commit, a position or its text, perhaps from outside.
 * @param logId The identity of the log that is waited on, for texts.
 * @returns The position to reach.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if it is none of them (a bare
 *   number is not a position); `POSITION_INVALID` for a text that is none;
 *   `POSITION_FOREIGN` for one of another log.
 */
export function toPosition(target: WaitTarget, logId?: string): Position {
  if (typeof target === "string") return fromText(target, logId);
  if (target instanceof Map) {
    return new Map(
      Array.from(target, ([name, token]) => component(name, token)),
    );
  }
  const { instance, token } = Object(target) as Partial<Commit>;
  return new Map([component(instance, token)]);
}

function fromText(text: string, logId: string | undefined): Position {
  const said = parsePositionText(text);
  if (said.logId === logId) return said.position;
  throw new HeadwaterError(
    "POSITION_FOREIGN",
    `Cannot wait for position ${
      quote(text)
    }: it is of log ${said.logId}, and ` +
      `this is ${
        logId === undefined ? "one without an identity" : `log ${logId}`
      }; ` +
      "give one of this log, or none",
  );
}

function component(instance: unknown, token: unknown): [string, Token] {
  if (typeof instance !== "string" || typeof token !== "number") {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot wait for token ${String(token)} of instance ${
        String(instance)
      }: ` +
        "give a commit, { instance, token }, a Map of instance to token, or its text",
    );
  }
  return [instance, parseToken(token)];
}

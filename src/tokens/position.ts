/**
 * Positions: how far a reader has got, instance by instance.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { isHolderText } from "./holders.ts";
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
  /**
   * Who held the instance's name then, as a short text. After the database was
   * restored, tokens are given again: `waitFor` tells them apart by it.
   */
  readonly holder: string;
  /** What the transaction's function returned. */
  readonly result: Result;
  /** How often it was run until it was committed; 1 unless PostgreSQL gave one up. */
  readonly attempts: number;
}

/**
 * What can be waited for: a commit (its result may be left out), a position, or
 * the text that `currentToken()` gave. Tokens may be plain numbers, as they are
 * after a way through JSON.
 *
 * A commit and a text say under which holder of the instance's name their tokens
 * were given, so that one which a restore took away is refused. A position, or a
 * commit whose `holder` was left out, can't: its tokens are whichever have these
 * numbers.
 */
export type WaitTarget =
  | string
  | {
    readonly instance: string;
    readonly token: number;
    readonly holder?: string | undefined;
  }
  | ReadonlyMap<string, number>;

/** What is waited for: a position, and what tells its tokens from others of the same number. */
export interface Wanted {
  /** The position to reach. */
  readonly position: Position;
  /** By instance, who held its name then, as text; as far as that is known. */
  readonly marks: ReadonlyMap<string, string>;
}

/**
 * Checks that something can be waited for, and gives it as a position.
 *
 * @param target A commit, a position or its text, perhaps from outside.
 * @param logId The identity of the log that is waited on, for texts.
 * @returns The position to reach, and its tokens' holders.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if it is none of them (a bare
 *   number is not a position); `POSITION_INVALID` for a text that is none;
 *   `POSITION_FOREIGN` for one of another log.
 */
export function toWanted(target: WaitTarget, logId?: string): Wanted {
  if (typeof target === "string") return fromText(target, logId);
  if (target instanceof Map) {
    const tokens = Array.from(
      target,
      ([name, token]) => component(name, token),
    );
    return { position: new Map(tokens), marks: NO_MARKS };
  }
  const { instance, token, holder } = Object(target) as Partial<Commit>;
  const [name, wanted] = component(instance, token);
  const marks = holder === undefined ? NO_MARKS : new Map([[name, holder]]);
  if (holder === undefined || isHolderText(holder)) {
    return { position: new Map([[name, wanted]]), marks };
  }
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot wait for token ${wanted} of instance "${name}": its holder is ` +
      `${quote(String(holder))}; give the commit's, or none`,
  );
}

const NO_MARKS: ReadonlyMap<string, string> = new Map();

/** A position alone. Errors as of {@linkcode toWanted}. */
export function toPosition(target: WaitTarget, logId?: string): Position {
  return toWanted(target, logId).position;
}

function fromText(text: string, logId: string | undefined): Wanted {
  const said = parsePositionText(text);
  if (said.logId === logId) return said;
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

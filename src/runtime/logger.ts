/**
 * What the library has to say while it works.
 *
 * @module
 */

import process from "node:process";
import { HeadwaterError } from "./errors.ts";

/** The weight of a message. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Takes the library's messages: one call a message, fields beside it. */
export type Logger = (
  level: LogLevel,
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

const WEIGHT: Readonly<Record<LogLevel, number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
};

/**
 * Refuses what can't be called, before there is anything to say.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireLogger(logger: unknown): void {
  if (typeof logger === "function") return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    "Cannot use the logger: it is no function; give (level, message, fields) " +
      '=> …, or stderrLogger("info")',
  );
}

/** Drops every message. */
export const silentLogger: Logger = () => {};

/**
 * Writes messages from a level on to standard error, one JSON line each.
 *
 * @param minLevel The lightest level to write.
 * @returns The logger.
 */
export function stderrLogger(minLevel: LogLevel): Logger {
  return (level, message, fields) => {
    if (WEIGHT[level] < WEIGHT[minLevel]) return;
    const time = new Date().toISOString();
    process.stderr.write(
      `${JSON.stringify({ time, level, message, ...fields })}\n`,
    );
  };
}

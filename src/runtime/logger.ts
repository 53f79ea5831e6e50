/**
 * What the library has to say while it works.
 *
 * @module
 */

import process from "node:process";
import { HeadwaterError, messageOf } from "./errors.ts";
import { callListener } from "./listeners.ts";

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
 * Options with their logger made safe: what it throws, or rejects with, is told
 * on standard error, and harms nobody who has something to say.
 *
 * @param options Options, as users give them.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a logger that is no function.
 */
export function withSafeLogger<
  Options extends { readonly logger?: Logger | undefined },
>(options: Options): Options {
  const { logger } = options;
  if (logger === undefined) return options;
  requireLogger(logger);
  const safe: Logger = (level, message, fields) =>
    callListener(
      () => logger(level, message, fields),
      (error) =>
        stderrLogger("error")("error", "the logger failed", {
          of: message,
          error: messageOf(error),
        }),
    );
  return { ...options, logger: safe };
}

function requireLogger(logger: unknown): void {
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

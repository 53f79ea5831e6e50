// Lines that are no commands, and what is said of them.

import type { Test } from "tap";
import { parseCommand } from "../../src/protocol/codec.ts";

/** Checks that lines are refused, each for its reason. */
export function refuses(
  t: Test,
  lines: readonly (readonly [line: string, reason: string])[],
): void {
  for (const [line, reason] of lines) {
    t.throws(() => parseCommand(line), {
      code: "LINE_INVALID",
      message: `failed to parse line: ${reason} (${JSON.stringify(line)})`,
    }, line);
  }
}

/**
 * What a commit's span and those of its applications have in common.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type Link, TraceFlags } from "@opentelemetry/api";
import type { Token } from "../tokens/token.ts";

/**
 * A link to a span that is nowhere, but the same wherever it is made. The wire
 * has no room for a trace's context: this is what joins a commit with its
 * applications instead.
 *
 * @param logId Which log it is, as 16 hexadecimal digits.
 * @param instance Who committed.
 * @param token The commit's token.
 */
export function commitLink(
  logId: string,
  instance: string,
  token: Token,
): Link {
  const digest = createHash("sha256")
    .update(`headwater ${logId} ${instance} ${token}`).digest("hex");
  return {
    context: {
      traceId: digest.slice(0, 32),
      spanId: digest.slice(32, 48),
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
    },
  };
}

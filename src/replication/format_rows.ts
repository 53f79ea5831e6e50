/**
 * A batch as the wire has it.
 *
 * @module
 */

import { formatRdataPrefix } from "../protocol/codec.ts";
import type { Token } from "../tokens/token.ts";

/** The RDATA lines of a stream's rows under one token; all but the last say `batch`. */
export function formatRows(
  stream: string,
  instance: string,
  token: Token,
  rows: readonly string[],
): string {
  const last = rows.length - 1;
  const lastLine = formatRdataPrefix(stream, instance, token) + rows[last];
  if (last === 0) return `${lastLine}\n`;
  const prefix = formatRdataPrefix(stream, instance, undefined);
  return `${prefix}${rows.slice(0, last).join(`\n${prefix}`)}\n${lastLine}\n`;
}

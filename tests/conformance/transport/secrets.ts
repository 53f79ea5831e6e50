// What must not be said of a place.

import type { Place } from "./transports.ts";

/** Parts of its keys. */
export function secretsOf({ tls }: Place): string[] {
  return String(tls?.key ?? "").split("\n")
    .filter((line) => line.length > 20 && !line.startsWith("-----"));
}

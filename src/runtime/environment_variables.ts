/**
 * What whoever runs the process says by environment variables.
 *
 * @module
 */

import process from "node:process";

/**
 * The variables whose names begin so.
 *
 * @param prefix What they begin with.
 * @returns Their texts, by name; none where the process may not read them.
 */
export function environmentVariables(
  prefix: string,
): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  try {
    for (const name of Object.keys(process.env)) {
      const text = process.env[name];
      if (name.startsWith(prefix) && text !== undefined) found[name] = text;
    }
  } catch {
    // Deno without --allow-env.
  }
  return found;
}

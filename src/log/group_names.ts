/**
 * Which names in the `caches` stream are those of cache groups.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import { readSchemaVersion } from "../database/migrator.ts";

/** The first version of the tables that has a place for them. */
const META_VERSION = 4;
const PREFIX = "group:";

/**
 * Records the names of a writer's cache groups, for readers that are given rows
 * of groups which they don't know: a name itself doesn't tell.
 *
 * @param session A session that may write.
 * @param names The groups' names.
 */
export async function recordGroups(
  session: Session,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    await session.run(
      "INSERT INTO headwater_meta (name, value) VALUES (?, '') " +
        "ON CONFLICT (name) DO NOTHING",
      [`${PREFIX}${name}`],
    );
  }
}

/** The names of all groups that any writer has ever declared on this log. */
export async function readGroups(
  session: Session,
): Promise<ReadonlySet<string>> {
  if (await readSchemaVersion(session) < META_VERSION) return new Set();
  const rows = await session.rows(
    "SELECT name FROM headwater_meta WHERE name LIKE ?",
    [`${PREFIX}%`],
  );
  return new Set(rows.map(([name]) => String(name).slice(PREFIX.length)));
}

// What workers of the tests may have a writer do.

import { z } from "zod";
import type { WriterStore } from "../../mod.ts";
import type { TestDatabase } from "../support/stores.ts";

const named = z.object({ id: z.string(), name: z.string() });

/** Exposes `rename`, which counts how often it is executed; returns that count. */
export function exposeUsers(writer: WriterStore<TestDatabase>): void {
  writer.expose("rename", named, async (txn, { id, name }) => {
    const user = await txn.db.selectFrom("users").selectAll()
      .where("id", "=", id).executeTakeFirst();
    const version = Number(user?.version ?? 0) + 1;
    await txn.db.insertInto("users").values({ id, name, version })
      .onConflict((conflict) =>
        conflict.column("id").doUpdateSet({ name, version })
      ).execute();
    txn.invalidate("getUserById", [id]);
    txn.invalidateAll("countUsers");
    return { version };
  });
}

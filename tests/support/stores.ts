// The small application that most tests write and read.

import { cached, Store, type WriterStore } from "../../mod.ts";

/** Its tables. */
export interface TestDatabase {
  users: { id: string; name: string; version: number };
}

/** A user. */
export type TestUser = TestDatabase["users"];

/** Its reads. */
export class Users extends Store<TestDatabase> {
  @cached({ maxEntries: 10_000 })
  async getUserById(id: string): Promise<TestUser | undefined> {
    const row = await this.db.selectFrom("users").selectAll()
      .where("id", "=", id).executeTakeFirst();
    return row && { ...row };
  }

  @cached({ maxEntries: 10 })
  async countUsers(): Promise<number> {
    const { count } = await this.db.selectFrom("users")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    return count;
  }

  @cached({ maxEntries: 100 })
  async findUsers(name: string, minVersion: number): Promise<string[]> {
    const rows = await this.db.selectFrom("users").select("id")
      .where("name", "=", name).where("version", ">=", minVersion).execute();
    return rows.map(({ id }) => id);
  }
}

/** Makes its table. */
export async function createUsers(
  writer: WriterStore<TestDatabase>,
): Promise<void> {
  await writer.transaction("create users", async (txn) => {
    await txn.db.schema.createTable("users").ifNotExists()
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("name", "text", (column) => column.notNull())
      .addColumn("version", "integer", (column) => column.notNull())
      .execute();
  });
}

/** Writes a user, new or not, and invalidates what is cached of it. */
export function saveUser(
  writer: WriterStore<TestDatabase>,
  user: TestUser,
): ReturnType<WriterStore<TestDatabase>["transaction"]> {
  return writer.transaction("save user", async (txn) => {
    await txn.db.insertInto("users").values(user)
      .onConflict((conflict) => conflict.column("id").doUpdateSet(user))
      .execute();
    txn.invalidate("getUserById", [user.id]);
    txn.invalidateAll("countUsers");
    txn.invalidateAll("findUsers");
  });
}

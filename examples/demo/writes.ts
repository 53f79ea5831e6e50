/**
 * The demo's writes: as a service would, some at a time, at a steady pace.
 *
 * @module
 */

import type { Commit, WriterStore } from "headwater";
import { roomGroup } from "../cs_cache_fake.ts";
import type { Check } from "./messages.ts";
import {
  type Database,
  hostName,
  HOSTS,
  roomName,
  ROOMS,
  SETTINGS,
  type Table,
  userName,
  USERS,
} from "./stores.ts";

/** Users renamed in one transaction. */
const BATCH = 100;
const TICK_MS = 10;
const RENAMES_A_TICK = 4;
const TICKS_A_BATCH = 4;
const TICKS_A_CLEAR = 100;
const TICKS_A_FULL_CLEAR = 200;

type Writer = WriterStore<Database>;

/**
 * Makes the tables where an earlier run has not.
 *
 * @returns The greatest version there is; this run's begin after it.
 */
export async function createTables(writer: Writer): Promise<number> {
  const sizes: Record<Table, number> = {
    demo_users: USERS,
    demo_rooms: ROOMS,
    demo_room_hosts: ROOMS * HOSTS,
    demo_settings: SETTINGS,
  };
  const commit = await writer.transaction("create tables", async ({ db }) => {
    let newest = 0;
    for (const [table, size] of Object.entries(sizes) as [Table, number][]) {
      await db.schema.createTable(table).ifNotExists()
        .addColumn("id", "integer", (column) => column.primaryKey())
        .addColumn("version", "integer", (column) => column.notNull())
        .addColumn("name", "text")
        .execute();
      for (let id = 0; id < size; id += 1) {
        await db.insertInto(table).values({ id, version: 0 } as never)
          .onConflict((conflict) => conflict.doNothing()).execute();
      }
      const { last } = await db.selectFrom(table)
        .select((eb) => eb.fn.max("version").as("last"))
        .executeTakeFirstOrThrow();
      newest = Math.max(newest, Number(last));
    }
    return newest;
  });
  return commit.result;
}

/** Writes versions after `newest` until `isOver`; tells of each commit what must be read from then on. */
export async function keepWriting(
  writer: Writer,
  newest: number,
  isOver: () => boolean,
  committed: (check: Check) => void,
): Promise<void> {
  let version = newest;
  const next = () => version += 1;
  const done = (commit: Commit, table: Table, ids: readonly number[]) => {
    const { instance, token } = commit;
    const committedMs = Date.now();
    committed({ instance, token, committedMs, table, ids, version });
  };
  for (let tick = 1; !isOver(); tick += 1) {
    const beganMs = performance.now();
    for (let count = 0; count < RENAMES_A_TICK; count += 1) {
      const ids = [any(USERS)];
      done(await renameUsers(writer, ids, next()), "demo_users", ids);
    }
    if (tick % TICKS_A_BATCH === 0) {
      const first = any(USERS - BATCH);
      const ids = Array.from({ length: BATCH }, (_, index) => first + index);
      done(await renameUsers(writer, ids, next()), "demo_users", ids);
    }
    const [room, host] = [any(ROOMS), any(HOSTS)];
    const commit = await changeRoom(writer, room, host, next());
    done(commit, "demo_rooms", [room]);
    done(commit, "demo_room_hosts", [room * HOSTS + host]);
    if (tick % TICKS_A_CLEAR === 0) {
      const ids = Array.from({ length: SETTINGS }, (_, id) => id);
      done(await changeSettings(writer, next()), "demo_settings", ids);
    }
    if (tick % TICKS_A_FULL_CLEAR === 0) {
      done(await clearUsers(writer), "demo_users", []);
    }
    const restMs = TICK_MS - (performance.now() - beganMs);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, restMs)));
  }
}

function renameUsers(
  writer: Writer,
  ids: readonly number[],
  version: number,
): Promise<Commit> {
  return writer.transaction("rename users", async (txn) => {
    await txn.db.updateTable("demo_users")
      .set({ name: `name ${version}`, version })
      .where("id", "in", ids).execute();
    for (const id of ids) txn.invalidate("get_user", [userName(id)]);
  });
}

/** A member at home on `host` joins or leaves. */
function changeRoom(
  writer: Writer,
  room: number,
  host: number,
  version: number,
): Promise<Commit> {
  return writer.transaction("change room", async (txn) => {
    await txn.db.updateTable("demo_rooms").set({ version })
      .where("id", "=", room).execute();
    await txn.db.updateTable("demo_room_hosts").set({ version })
      .where("id", "=", room * HOSTS + host).execute();
    const member = `@someone:${hostName(host)}`;
    txn.invalidateGroup(roomGroup, [roomName(room), member]);
  });
}

function clearUsers(writer: Writer): Promise<Commit> {
  return writer.transaction("clear users", (txn) => {
    txn.invalidateAll("get_user");
    return Promise.resolve();
  });
}

function changeSettings(writer: Writer, version: number): Promise<Commit> {
  return writer.transaction("change settings", async (txn) => {
    await txn.db.updateTable("demo_settings").set({ version }).execute();
    txn.invalidateAll("get_setting");
  });
}

function any(count: number): number {
  return Math.floor(Math.random() * count);
}

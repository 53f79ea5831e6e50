// What the types promise: a mistake that is made in writing a store does not
// compile. The lines below @ts-expect-error are checked by the compilers
// (`deno check`, `tsc`): were one to compile, the check itself would fail.

import t from "tap";
import { z } from "zod";
import { cachedList } from "../../src/caches/mod.ts";
import {
  cached,
  defineCacheGroup,
  defineStream,
  type RowOf,
  type SlavedStore,
  Store,
  WriterStore,
  type WriterTransaction,
} from "../../mod.ts";

interface Database {
  users: { id: string; name: string };
}

class Users extends Store<Database> {
  @cached({ maxEntries: 10 })
  async getUser(id: string, version: number): Promise<string | undefined> {
    const row = await this.db.selectFrom("users").select("name")
      .where("id", "=", `${id}${version}`).executeTakeFirst();
    return row?.name;
  }

  getPlain(id: string): string {
    return id;
  }

  // @ts-expect-error -- an object can't be part of a key
  @cached({ maxEntries: 10 })
  async findUser(filter: { name: string }): Promise<string> {
    return await Promise.resolve(filter.name);
  }

  @cached({ maxEntries: 10 })
  async findMaybe(name?: string): Promise<string | undefined> {
    return await Promise.resolve(name);
  }

  @cached({ maxEntries: 10, tree: true, uncachedArgs: [1] })
  async findIn(
    room: string,
    _signal: AbortSignal,
    userId: bigint,
    limit?: number,
  ): Promise<string> {
    return await Promise.resolve(`${room}${userId}${limit}`);
  }

  @cached({ maxEntries: 10, keyOf: (user: { id: string }) => user.id })
  async findOf(user: { id: string }): Promise<string> {
    return await Promise.resolve(user.id);
  }

  // @ts-expect-error -- keyOf takes other arguments than the method has
  @cached({ maxEntries: 10, keyOf: (user: { id: number }) => user.id })
  async findOther(user: { id: string }): Promise<string> {
    return await Promise.resolve(user.id);
  }

  @cachedList({ of: "getUser" })
  async getUsers(
    ids: readonly string[],
    version: number,
  ): Promise<ReadonlyMap<string, string>> {
    return await Promise.resolve(new Map([[String(ids[0]), `${version}`]]));
  }

  // @ts-expect-error -- a list's method says what it found by item
  @cachedList({ of: "getUser" })
  async getAll(ids: readonly string[], _version: number): Promise<string[]> {
    return await Promise.resolve([...ids]);
  }

  // @ts-expect-error -- a list's other arguments are the single method's
  @cachedList({ of: "getUser" })
  async getTooFew(
    ids: readonly string[],
  ): Promise<ReadonlyMap<string, string>> {
    return await Promise.resolve(new Map([[String(ids[0]), ""]]));
  }

  // @ts-expect-error -- a list's items are what the single method takes
  @cachedList({ of: "getUser" })
  async getByNumber(
    ids: readonly number[],
    version: number,
  ): Promise<ReadonlyMap<number, string>> {
    return await Promise.resolve(new Map([[Number(ids[0]), `${version}`]]));
  }

  @cachedList({ of: "getUser" })
  async getVersions(
    id: string,
    versions: readonly number[],
  ): Promise<ReadonlyMap<number, string>> {
    return await Promise.resolve(new Map([[Number(versions[0]), id]]));
  }

  @cachedList({ of: "findIn" })
  async findAllIn(
    room: string,
    _signal: AbortSignal,
    userIds: readonly bigint[],
  ): Promise<ReadonlyMap<bigint, string>> {
    return await Promise.resolve(new Map(userIds.map((id) => [id, room])));
  }

  // @ts-expect-error -- only what gives a promise can be shared while it loads
  @cached({ maxEntries: 10 })
  getNow(id: string): string {
    return id;
  }

  // @ts-expect-error -- a cache has a bound
  @cached({})
  async getUnbounded(id: string): Promise<string> {
    return await Promise.resolve(id);
  }

  writeWhereItReads(): void {
    // @ts-expect-error -- reads can't write
    void this.db.insertInto("users").values;
    // @ts-expect-error -- reads can't write
    void this.db.updateTable("users").set;
    // @ts-expect-error -- reads can't write
    void this.db.deleteFrom("users").where;
    // @ts-expect-error -- reads make no tables
    this.db.schema.createTable("more");
    // @ts-expect-error -- there is no such table
    this.db.selectFrom("user");
  }
}

const orders = defineStream(
  "orders",
  z.object({ id: z.string(), cents: z.int() }),
);
const room = defineCacheGroup("room", z.tuple([z.string()]), ([id]) => [
  ["getRoom", [id]],
]);

function invalidate(txn: WriterTransaction<Database>, users: Users): void {
  txn.invalidate(users.getUser, ["bob", 1]);
  txn.invalidate("any name", ["bob", 1, null, true]);
  txn.invalidate(users.findMaybe, []);
  txn.invalidate(users.findMaybe, [undefined]);
  txn.invalidate(users.findIn, ["!room", 1n]);
  txn.invalidate(users.findIn, ["!room", 1n, 5]);
  txn.invalidate(users.findOf, [{ id: "bob" }]);
  txn.invalidatePrefix(users.findIn, ["!room"]);
  txn.invalidatePrefix(users.findIn, ["!room", 1n]);
  txn.invalidateAll(users.getUser);
  txn.invalidateGroup(room, ["!room"]);
  // @ts-expect-error -- the signal is no part of the key
  txn.invalidate(users.findIn, ["!room", "signal", 1n]);
  // @ts-expect-error -- a prefix has one part at least
  txn.invalidatePrefix(users.findIn, []);
  // @ts-expect-error -- the wrong type
  txn.invalidatePrefix(users.findIn, [5]);
  // @ts-expect-error -- the wrong type in the second place
  txn.invalidatePrefix(users.findIn, ["!room", 1]);
  // @ts-expect-error -- a part too few
  txn.invalidate(users.getUser, ["bob"]);
  // @ts-expect-error -- a part too many
  txn.invalidate(users.getUser, ["bob", 1, 2]);
  // @ts-expect-error -- the wrong type
  txn.invalidate(users.getUser, ["bob", "1"]);
  // @ts-expect-error -- the wrong order
  txn.invalidate(users.getUser, [1, "bob"]);
  // @ts-expect-error -- not a list
  txn.invalidate(users.getUser, "bob");
  // @ts-expect-error -- an object is no part of a key
  txn.invalidate("any name", [{}]);
  // @ts-expect-error -- a method that gives no promise has no cache
  txn.invalidate(users.getPlain, ["bob"]);
  // @ts-expect-error -- not the group's key
  txn.invalidateGroup(room, [5]);
  // @ts-expect-error -- not the group's key
  txn.invalidateGroup(room, []);
}

function write(txn: WriterTransaction<Database>): void {
  txn.write(orders, { id: "a", cents: 5 });
  // @ts-expect-error -- a member is missing
  txn.write(orders, { id: "a" });
  // @ts-expect-error -- the wrong type
  txn.write(orders, { id: "a", cents: "5" });
  // @ts-expect-error -- no row at all
  txn.write(orders);
  // @ts-expect-error -- events are lists
  void txn.append("user:1", { type: "renamed" });
  // @ts-expect-error -- an event has a type
  void txn.append("user:1", [{ data: 1 }]);
  // @ts-expect-error -- a date is no JSON
  void txn.append("user:1", [{ type: "renamed", data: new Date() }]);
  // @ts-expect-error -- no such expectation
  void txn.append("user:1", [{ type: "a" }], { expectedVersion: "some" });
}

function read(slaved: SlavedStore<Database>): void {
  slaved.subscribe(orders, ({ rows }) => {
    const cents: number[] = rows.map((row) => row.cents);
    // @ts-expect-error -- rows have the stream's type
    const ids: number[] = rows.map((row) => row.id);
    void [cents, ids];
  });
  void slaved.waitFor({ instance: "master", token: 5 });
  // @ts-expect-error -- a bare number is no position
  void slaved.waitFor(5);
  // @ts-expect-error -- a slaved store doesn't write
  void slaved.transaction;
}

// @ts-expect-error -- rows have the stream's type
const wrongRow: RowOf<typeof orders> = { id: 5, cents: 5 };

interface OtherDatabase {
  rooms: { id: string };
}

function attach(writer: WriterStore<OtherDatabase>): void {
  // @ts-expect-error -- a store of another database
  writer.attach(Users);
}

t.test("what compiles also runs", async (t) => {
  const writer = await WriterStore.open<Database>({
    database: "sqlite::memory:",
    streams: [orders],
    groups: [room],
  });
  t.teardown(() => writer.close());
  t.throws(() => writer.attach(Users), { code: "INVALID_ARGUMENT" });
  const { token } = await writer.transaction("write", (txn) => {
    txn.write(orders, { id: "a", cents: 5 });
    txn.invalidateGroup(room, ["!room"]);
    return Promise.resolve();
  });
  t.equal(token, 1);
  t.same([invalidate, write, read, attach].map((each) => typeof each), [
    "function",
    "function",
    "function",
    "function",
  ]);
  t.same(wrongRow, { id: 5, cents: 5 });
});

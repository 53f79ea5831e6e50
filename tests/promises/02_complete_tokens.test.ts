// Promise 2: a position T is announced only when every token up to T is
// committed or abandoned; tokens only grow, and are never given twice.

import t from "tap";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { defineStream, SlavedStore, WriterStore } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";
import { createUsers, type TestDatabase } from "../support/stores.ts";

const orders = defineStream("orders", z.int());

t.test("tokens", async (t) => {
  const database = temporaryDatabase(t);
  const path = database.slice("sqlite:".length);
  const open = () =>
    WriterStore.open<TestDatabase>({
      database,
      listen: "tcp://127.0.0.1:0",
      streams: [orders],
    });
  let writer = await open();
  t.teardown(() => writer.close());
  await createUsers(writer);
  const write = (row: number, fails = false) =>
    writer.transaction("write", async (txn) => {
      txn.write(orders, row);
      // Ends in another order than it began, if transactions overlapped.
      for (let turn = 0; turn < row % 7; turn += 1) await Promise.resolve();
      if (fails) throw new Error("rolled back");
      return row;
    });

  await t.test("come in commit order, whoever fails between", async (t) => {
    const slaved = await SlavedStore.connect<TestDatabase>({
      database,
      replicate: String(writer.url),
      streams: [orders],
    });
    const applied: [number, number][] = [];
    slaved.subscribe(orders, ({ token, rows }) => {
      t.notOk(slaved.position.get("master") === token, "not before its rows");
      applied.push([token, Number(rows[0])]);
    });
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, row) => write(row, row % 5 === 0)),
    );
    const committed = results.flatMap((result) =>
      result.status === "fulfilled"
        ? [[result.value.token, result.value.result] as [number, number]]
        : []
    );
    t.equal(committed.length, 160);
    const tokens = committed.map(([token]) => token);
    t.same(tokens, tokens.toSorted((a, b) => a - b));
    t.equal(new Set(tokens).size, 160);
    await slaved.waitFor({ instance: "master", token: Math.max(...tokens) });
    t.same(applied, committed);
    await slaved.close();
  });

  await t.test("go on upward over a reopening", async (t) => {
    const before = (await write(1)).token;
    await writer.close();
    writer = await open();
    t.ok((await write(2)).token > before);
  });

  await t.test("go on upward after the log's tail was deleted", async (t) => {
    const before = (await write(3)).token;
    await writer.close();
    const outside = new DatabaseSync(path);
    outside.exec("DELETE FROM headwater_log");
    outside.close();
    writer = await open();
    t.ok((await write(4)).token > before);
  });
});

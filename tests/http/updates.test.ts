// What a follower that was away asks the writer for, Synapse's among them.

import t, { type Test } from "tap";
import { z } from "zod";
import { defineStream, WriterStore } from "../../mod.ts";
import type { WriterStoreOptions } from "../../src/writer/mod.ts";
import { onEachEngine } from "../support/databases.ts";
import type { TestDatabase } from "../support/stores.ts";

const receipts = defineStream("receipts", z.tuple([z.string(), z.int()]));
const typing = defineStream(
  "typing",
  z.tuple([z.string(), z.array(z.string())]),
  { durable: false },
);

interface Updates {
  readonly updates: [number, unknown][];
  readonly upto_token: number;
  readonly limited: boolean;
}

async function open(
  t: Test,
  options: Partial<WriterStoreOptions> = {},
): Promise<WriterStore<TestDatabase>> {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    http: "http://127.0.0.1:0",
    streams: [receipts, typing],
    ...options,
  });
  t.teardown(() => writer.close());
  return writer;
}

function ask(
  writer: WriterStore<TestDatabase>,
  stream: string,
  from: number | string,
  upTo: number | string,
  init?: RequestInit,
): Promise<Response> {
  const path = `/_synapse/replication/get_repl_stream_updates/${stream}`;
  const query = `from_token=${from}&upto_token=${upTo}`;
  return fetch(`${writer.httpUrl}${path}/abcdefghij?${query}`, init);
}

async function read(
  ...args: Parameters<typeof ask>
): Promise<Updates> {
  const response = await ask(...args);
  return await response.json() as Updates;
}

function write(
  writer: WriterStore<TestDatabase>,
  count: number,
  name = "row",
): Promise<{ token: number }> {
  return writer.transaction("write", (txn) => {
    for (let index = 0; index < count; index += 1) {
      txn.write(receipts, [name, index]);
    }
    return Promise.resolve();
  });
}

onEachEngine(t, "durable streams", async (t, database) => {
  const writer = await open(t, { database });
  await t.test("come in pages of a hundred rows, ascending", async (t) => {
    for (let index = 0; index < 105; index += 1) await write(writer, 1);
    const last = Number(writer.position.get("master"));
    const first = await read(writer, "receipts", 0, last);
    t.equal(first.updates.length, 100);
    t.equal(first.limited, true);
    t.equal(first.upto_token, first.updates.at(-1)?.[0]);
    const rest = await read(writer, "receipts", first.upto_token, last);
    t.equal(rest.updates.length, 5);
    t.same([rest.limited, rest.upto_token], [false, last]);
    t.same(rest.updates[4], [last, ["row", 0]]);
  });

  await t.test("a token is never split over two pages", async (t) => {
    const { token: before } = await write(writer, 60, "a");
    const { token } = await write(writer, 250, "b");
    const { token: last } = await write(writer, 60, "c");
    const page = await read(writer, "receipts", before, last);
    t.equal(page.updates.length, 250);
    t.ok(page.updates.every(([each]) => each === token));
    t.same([page.limited, page.upto_token], [true, token]);
    const rest = await read(writer, "receipts", token, last);
    t.equal(rest.updates.length, 60);
    t.same([rest.limited, rest.upto_token], [false, last]);
  });

  await t.test("other streams' rows are not among them", async (t) => {
    const { token } = await writer.transaction("invalidate", (txn) => {
      txn.write(receipts, ["é", 1]);
      txn.invalidate("getUserById", ["a"]);
      return Promise.resolve();
    });
    const caches = await read(writer, "caches", token - 1, token);
    t.match(caches.updates, [[token, ["getUserById", ["a"], Number]]]);
    const own = await read(writer, "receipts", token - 1, token);
    t.same(own.updates, [[token, ["é", 1]]]);
  });

  await t.test("an empty range is empty", async (t) => {
    const none = { updates: [], upto_token: 5, limited: false };
    t.same(await read(writer, "receipts", 5, 5), none);
    t.same(await read(writer, "receipts", 9, 5), none);
  });

  await t.test("nothing is promised beyond the position", async (t) => {
    const last = Number(writer.position.get("master"));
    const page = await read(writer, "receipts", last - 1, last + 1000);
    t.equal(page.upto_token, last);
    t.equal(page.limited, false);
  });
});

t.test("the body is as the reference has it", async (t) => {
  const writer = await open(t);
  const { token } = await write(writer, 1);
  const response = await ask(writer, "receipts", token - 1, token);
  t.equal(
    await response.text(),
    `{"updates":[[${token},["row",0]]],"upto_token":${token},"limited":false}`,
  );
  t.match(response.headers.get("content-type"), /^application\/json/);
  t.equal(response.headers.get("headwater-instance"), "master");
});

t.test("ephemeral streams come from memory, in tokens of their own", async (t) => {
  const writer = await open(t);
  for (let index = 1; index <= 150; index += 1) {
    t.equal(writer.publish(typing, [["room", [`user${index}`]]]), index);
  }
  const first = await read(writer, "typing", 0, 150);
  t.equal(first.updates.length, 100);
  t.same([first.limited, first.upto_token], [true, 100]);
  const rest = await read(writer, "typing", 100, 150);
  t.same(rest.updates[49], [150, ["room", ["user150"]]]);
  t.same([rest.limited, rest.upto_token], [false, 150]);
  t.same((await read(writer, "typing", 7, 9)).updates.length, 2);
  const restarted = await read(writer, "typing", 1000, 150);
  t.equal(restarted.updates.length, 100, "from beyond the end: everything");
});

t.test("what is held of an ephemeral stream is bounded, and said", async (t) => {
  const writer = await open(t, { maxEphemeralRows: 10 });
  for (let index = 0; index < 30; index += 1) {
    writer.publish(typing, [["room", []], ["other", []]]);
  }
  const response = await ask(writer, "typing", 0, 30);
  t.equal(response.headers.get("headwater-floor"), "25");
  const { updates } = await response.json() as Updates;
  t.same([...new Set(updates.map(([token]) => token))], [26, 27, 28, 29, 30]);
});

t.test("names are those of the wire", async (t) => {
  const writer = await open(t, { streamPrefix: "hw_" });
  t.equal((await ask(writer, "hw_caches", 0, 1)).status, 200);
  t.equal((await ask(writer, "caches", 0, 1)).status, 400);
});

t.test("what can't be answered is a Matrix error", async (t) => {
  const writer = await open(t);
  const unknown = await ask(writer, "nothing", 0, 1);
  t.equal(unknown.status, 400);
  t.match(await unknown.json(), {
    errcode: "M_UNKNOWN",
    error: /^Unknown stream; .*receipts/,
  });
  for (
    const [from, upTo] of [["x", 1], [1, ""], ["1.5", 2], [0, "9".repeat(17)]]
  ) {
    const response = await ask(writer, "receipts", from ?? "", upTo ?? "");
    t.equal(response.status, 400, `${from} ${upTo}`);
    t.match(await response.json(), { errcode: "M_INVALID_PARAM" });
  }
  const elsewhere = await fetch(`${writer.httpUrl}/_synapse/replication/x`);
  t.equal(elsewhere.status, 404);
  t.match(await elsewhere.json(), { errcode: "M_UNRECOGNIZED" });
});

t.test("the secret", async (t) => {
  const logged: string[] = [];
  const guarded = await open(t, {
    httpSecret: "right secret",
    logger: (...message) => void logged.push(JSON.stringify(message)),
  });
  const status = async (writer: typeof guarded, authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization };
    const response = await ask(writer, "receipts", 0, 0, { headers });
    const text = await response.text();
    t.notMatch(text, /right secret/);
    return response.status;
  };
  await t.test("A050: none is configured: it works", async (t) => {
    const writer = await open(t);
    t.equal(await status(writer), 200);
    t.equal(await status(writer, "Bearer whatever"), 200);
  });
  await t.test("A051: configured, and missing: refused", async (t) => {
    t.equal(await status(guarded), 401);
  });
  await t.test("A052: configured, and wrong: refused", async (t) => {
    for (
      const wrong of [
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        "right secret",
        "Basic right secret",
        "Bearer right secret!",
        "Bearer right",
      ]
    ) t.equal(await status(guarded, wrong), 401, wrong);
  });
  await t.test("A053: configured, and right: it works", async (t) => {
    t.equal(await status(guarded, "Bearer right secret"), 200);
  });
  t.ok(logged.length > 0);
  t.notMatch(logged.join("\n"), /right secret|wrong/);
});

// What becomes of exposed calls, on the writer's side.

import { DatabaseSync } from "node:sqlite";
import t, { type Test } from "tap";
import { z } from "zod";
import { WriterStore, type WriterStoreOptions } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";

async function openWriter(
  t: Test,
  options: WriterStoreOptions,
): Promise<WriterStore<unknown>> {
  const writer = await WriterStore.open(options);
  t.teardown(() => writer.close());
  return writer;
}

/** Calls, by way of somebody else's server; gives the status and what was said. */
async function call(
  writer: WriterStore<unknown>,
  name: string,
  id: string,
): Promise<{ status: number; said: Record<string, unknown> }> {
  const url = `http://x/_headwater/call/${name}/${id}`;
  const body = JSON.stringify({ args: null });
  const headers = { "content-type": "application/json" };
  const response = await writer.fetch(
    new Request(url, { method: "POST", headers, body }),
  );
  const said = await response.json() as Record<string, unknown>;
  return { status: response.status, said };
}

t.test("calls that come while the store is closed are refused, and it ends", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await openWriter(t, { database });
  const answers: ReturnType<typeof call>[] = [];
  const callNext = () => {
    const id = `0123456789abcdef-${answers.length}`;
    answers.push(call(writer, "chain", id));
  };
  let closed: Promise<void> | undefined;
  writer.expose("chain", z.null(), async (txn) => {
    txn.invalidateAll("c");
    if (answers.length === 5) closed = writer.close();
    // There is always one more by the time that one ends.
    if (answers.length < 500) callNext();
    await Promise.resolve();
  });
  callNext();
  let seen = 0;
  while (seen < answers.length) await answers[seen++];
  await closed;
  const ended = await Promise.all(answers);
  const refused = ended.filter(({ status }) => status !== 200);
  t.ok(refused.length > 0);
  for (const { status, said } of refused) {
    t.equal(status, 503, "to be tried elsewhere");
    t.match(JSON.stringify(said), /CLOSED/);
  }
  const tokens = ended.flatMap(({ status, said }) =>
    status === 200 ? [Number(said.token)] : []
  );
  t.ok(tokens.length >= 5);
  const next = await openWriter(t, { database });
  t.equal(next.position.get("master"), Math.max(...tokens), "each is told");
});

t.test("another writer's answer, whose record is deleted, is that one's", async (t) => {
  const database = temporaryDatabase(t);
  const open = async (instance: string) => {
    const writer = await openWriter(t, { database, instance });
    writer.expose("touch", z.null(), (txn) => {
      txn.invalidateAll("c");
      return Promise.resolve("done");
    });
    return writer;
  };
  const [first, second] = [await open("first"), await open("second")];
  const id = "0123456789abcdef";
  const answer = await call(first, "touch", id);
  t.equal(answer.said.instance, "first");
  // Who held its name is not known to the other.
  const { holder: _, ...said } = answer.said;
  t.same((await call(second, "touch", id)).said, said);
  for (let count = 0; count < 3; count += 1) {
    await call(second, "touch", `${id}-${count}`);
  }
  await first.close();
  const file = new DatabaseSync(database.slice("sqlite:".length));
  file.exec("DELETE FROM headwater_log WHERE instance = 'first'");
  file.close();
  t.same((await call(second, "touch", id)).said, said);
});

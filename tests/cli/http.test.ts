// What the HTTP side answers when what it stands on fails.

import t from "tap";
import { WriterStore } from "../../mod.ts";
import { createApp } from "../../src/cli/http.ts";

const body = JSON.stringify({ invalidate: [["getUserById", null]] });

t.test("failures of the writer", async (t) => {
  const writer = await WriterStore.open<Record<string, never>>({
    database: "sqlite::memory:",
  });
  t.teardown(() => writer.close());
  const logged: string[] = [];
  const answer = async (store: typeof writer) => {
    const app = createApp(store, (_level, _message, fields) => {
      logged.push(JSON.stringify(fields));
    });
    const request = { method: "POST", body };
    const response = await app.request("/v1/transactions", request);
    return { status: response.status, text: await response.text() };
  };

  await t.test("are told to the log, not to whoever asked", async (t) => {
    const failing: typeof writer = Object.create(writer, {
      transaction: {
        value: () => Promise.reject(new TypeError("secret.ts is broken")),
      },
    });
    const { status, text } = await answer(failing);
    t.equal(status, 500);
    t.match(JSON.parse(text), { error: { code: "INTERNAL" } });
    t.notMatch(text, /secret|\bat /);
    t.match(logged[0], /secret\.ts is broken.* at /);
  });

  await t.test("that pass are told as such", async (t) => {
    await writer.close();
    const { status, text } = await answer(writer);
    t.equal(status, 503);
    t.match(JSON.parse(text), { error: { code: "CLOSED" } });
  });
});

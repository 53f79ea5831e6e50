// What the server doesn't take of a URL is told as such, at once: nothing will
// change it.

import t from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { openAdmin } from "../../src/admin/mod.ts";
import { postgresDatabase } from "../support/postgres.ts";

t.test("a URL's parameter that the server refuses", async (t) => {
  const database = await postgresDatabase(t);
  const replicate: string[] = [];
  const asked = (parameter: string) =>
    `${database}${database.includes("?") ? "&" : "?"}${parameter}`;
  for (
    const [parameter, message] of [
      [
        "pool_max=5",
        /parameter "pool_max"; the server does not know this parameter of the URL; correct it/,
      ],
      [
        "work_mem=plenty",
        /"work_mem": "plenty"; the server does not take this value of the URL's parameter/,
      ],
    ] as const
  ) {
    const url = asked(parameter);
    const refused = { code: "INVALID_ARGUMENT", message };
    await t.rejects(WriterStore.open({ database: url }), refused);
    await t.rejects(SlavedStore.connect({ database: url, replicate }), refused);
    await t.rejects(openAdmin(url), refused);
  }
  const writer = await WriterStore.open({ database: asked("work_mem=5MB") });
  t.teardown(() => writer.close());
  await t.rejects(
    writer.transaction("ask", async (txn) => {
      await txn.db.schema.dropType("nothing").execute();
    }),
    { code: "42704", message: 'type "nothing" does not exist' },
    "what is not there in the user's own SQL is theirs",
  );
});

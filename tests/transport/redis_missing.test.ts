// Where the package `redis` is not installed.

import * as loader from "node:module";
import t from "tap";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { temporaryDatabase } from "../support/folders.ts";

const MISSING = {
  message:
    /the package "redis" can't be loaded \(.*\); install it: npm install redis/,
};
// Deno's loader can't be told to miss a package.
const skip = "Deno" in globalThis ? "nothing can be hidden from Deno" : false;

t.test("the package is missing", { skip }, async (t) => {
  loader.registerHooks({
    resolve(specifier, context, next) {
      if (specifier === "redis") throw new Error("Cannot find package 'redis'");
      return next(specifier, context);
    },
  });
  const database = temporaryDatabase(t);
  const redis = "redis://127.0.0.1:1";
  await t.rejects(
    WriterStore.open({ database, listen: redis }),
    { code: "INVALID_ARGUMENT", ...MISSING },
  );
  const writer = await WriterStore.open({ database });
  t.teardown(() => writer.close());
  await t.rejects(
    SlavedStore.connect({ database, replicate: redis, connectTimeoutMs: 100 }),
    { code: "CONNECT_TIMEOUT", ...MISSING },
  );
});

t.test("the others need no package", async (t) => {
  const database = temporaryDatabase(t);
  const writer = await WriterStore.open({ database, listen: "memory:none" });
  await writer.close();
  t.pass();
});

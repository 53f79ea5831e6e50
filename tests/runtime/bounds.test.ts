// A time of 0 is no time at all where something is waited for, and some take it
// for none: it is refused at every door.

import t from "tap";
import { listenHttp } from "../../src/http/mod.ts";
import { ProjectionRunner } from "../../src/projections/mod.ts";
import { requireAboveZero } from "../../src/runtime/bounds.ts";

const code = "INVALID_ARGUMENT";

t.test("0 ms is refused, where it is asked for more", async (t) => {
  t.doesNotThrow(() => requireAboveZero("wait", { aMs: 1, bMs: undefined }));
  t.throws(() => requireAboveZero("wait", { aMs: 1, bMs: 0 }), {
    code,
    message: "Cannot wait: bMs is 0; give a number of ms above 0",
  });
  const url = "http://127.0.0.1:0";
  const fetch = () => new Response();
  for (const requestTimeoutMs of [0, -1, NaN]) {
    t.throws(() => listenHttp(fetch, { url, requestTimeoutMs }), {
      code,
      message: /^Cannot take requests: requestTimeoutMs is /,
    });
  }
  const database = "sqlite:no.db";
  await t.rejects(
    ProjectionRunner.open({ database, projections: [], queueTimeoutMs: 0 }),
    { code, message: /^Cannot run projections: queueTimeoutMs is 0; give/ },
  );
});

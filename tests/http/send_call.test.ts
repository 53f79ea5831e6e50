// What is said of a call that was not answered in time.

import t from "tap";
import type { HttpAnswer, HttpClient } from "../../src/http/http_client.ts";
import { sendCall } from "../../src/http/send_call.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { until } from "../support/conditions.ts";
import { manualClock } from "../support/manual_clock.ts";

/** Calls a writer that does so, once and again, until the deadline, of 1,000 ms. */
async function callInVain(tries: (() => Promise<HttpAnswer>)[]) {
  const clock = manualClock();
  const cutShort = () => {
    clock.advance(1_000);
    return Promise.reject(new Error("no answer within 0.43802499999992506 ms"));
  };
  const send = () => (tries.shift() ?? cutShort)();
  const client = { url: "http://there", send } as unknown as HttpClient;
  let failure: unknown;
  sendCall({ client, clock, random: systemRandom }, {
    name: "rename",
    id: "0123456789abcdef",
    body: "{}",
    timeoutMs: 1_000,
  }).catch((error) => failure = error);
  await until("it is given up", () => {
    clock.advance(100);
    return failure !== undefined;
  });
  return failure;
}

t.test("the deadline does not hide what was answered before it", async (t) => {
  const answer = { status: 503, text: "not yet", header: () => undefined };
  t.match(await callInVain([() => Promise.resolve(answer)]), {
    code: "CALL_TIMEOUT",
    message:
      /no answer within 1000 ms \(status 503, "not yet"\); it may have been executed/,
  });
});

t.test("who never answers has given no reason", async (t) => {
  t.match(await callInVain([]), {
    code: "CALL_TIMEOUT",
    message: /no answer within 1000 ms; it may have been executed/,
  });
});

// What users' functions do wrong, called where nobody waits for them.

import t from "tap";
import { setImmediate } from "node:timers";
import { callListener } from "../../src/runtime/listeners.ts";

t.test("what a listener throws is told at once, what it rejects with later", async (t) => {
  const told: unknown[] = [];
  const failed = (error: unknown) => void told.push(error);
  callListener(() => {
    throw "thrown";
  }, failed);
  t.same(told, ["thrown"]);
  callListener(() => Promise.reject("rejected"), failed);
  t.same(told, ["thrown"]);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(told, ["thrown", "rejected"]);
});

t.test("what a listener returns is nobody's concern", async (t) => {
  const told: unknown[] = [];
  for (const value of [undefined, null, 1, "text", {}, Promise.resolve(1)]) {
    callListener(() => value, (error) => void told.push(error));
  }
  await new Promise((resolve) => setImmediate(resolve));
  t.same(told, []);
});

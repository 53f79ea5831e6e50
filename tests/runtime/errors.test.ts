// Errors carry a code for programs and a message fit to be shown.

import t from "tap";
import {
  assert,
  HeadwaterError,
  messageOf,
  quote,
} from "../../src/runtime/errors.ts";

t.test("HeadwaterError has a name, a code, a message and a cause", (t) => {
  const cause = new TypeError("deep");
  const error = new HeadwaterError("CLOSED", "Cannot go on", { cause });
  t.match(error, { name: "HeadwaterError", code: "CLOSED", cause });
  t.match(String(error.stack), /^HeadwaterError: Cannot go on/);
  t.ok(error instanceof Error);
  t.end();
});

t.test("quote() escapes control characters and cuts at 200 characters", (t) => {
  t.equal(quote('a"\n\u0000'), '"a\\"\\n\\u0000"');
  t.equal(quote("x".repeat(200)), `"${"x".repeat(200)}"`);
  t.equal(quote("x".repeat(201)), `"${"x".repeat(200)}…"`);
  // A character that is cut in half is still valid text.
  t.equal(quote(`${"x".repeat(199)}👍`), `"${"x".repeat(199)}\\ud83d…"`);
  t.end();
});

t.test("messageOf() takes whatever was thrown", (t) => {
  t.equal(messageOf(new RangeError("far")), "far");
  t.equal(messageOf("text"), "text");
  t.equal(messageOf(undefined), "undefined");
  t.equal(messageOf(Symbol("s")), "Symbol(s)");
  t.end();
});

t.test("assert() blames the library", (t) => {
  assert(true, "nothing");
  t.throws(() => assert(1 > 2, "one to be more than two"), {
    code: "BUG",
    message: "Bug in headwater: expected one to be more than two",
  });
  t.end();
});

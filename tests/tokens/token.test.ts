// Tokens from outside are taken only if they are tokens.

import t from "tap";
import { parseToken, TOKEN_ZERO } from "../../src/tokens/token.ts";

t.test("parseToken() takes every integer from 0 to 2^53 - 1", (t) => {
  t.equal(parseToken(0), TOKEN_ZERO);
  t.equal(parseToken(Number.MAX_SAFE_INTEGER), 2 ** 53 - 1);
  t.end();
});

t.test("parseToken() refuses everything else", (t) => {
  for (
    const value of [-1, 1.5, 2 ** 53, NaN, Infinity, "1", null, undefined, 1n]
  ) {
    const shown = typeof value === "string" ? `"${value}"` : value;
    t.throws(() => parseToken(value as number), {
      code: "INVALID_ARGUMENT",
      message: new RegExp(`^Cannot take ${shown} as a token`),
    }, String(value));
  }
  t.end();
});

// Every mistake of mutations.ts can still be made: its text stands in the built
// code, once. Whether it is caught, mutate.js says.

import { readFileSync } from "node:fs";
import t from "tap";
import { MUTATIONS } from "./mutations.ts";

const BUILT = new URL("../../dist/src/", import.meta.url);
// Node's tests are built before they run; Deno's need not be.
const skip = "Deno" in globalThis ? "what is built is Node's" : false;

t.test("each mistake has a name of its own", (t) => {
  t.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
  t.end();
});

t.test("each mistake can be made", { skip }, (t) => {
  for (const { name, patches } of MUTATIONS) {
    for (const [file, text] of patches) {
      const source = readFileSync(new URL(file, BUILT), "utf8");
      t.equal(source.split(text).length, 2, `${name}: ${file}`);
    }
  }
  t.end();
});

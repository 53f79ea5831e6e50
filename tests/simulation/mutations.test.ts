// Every mistake of mutations.ts can still be made: its text stands in the built
// code, once. Whether it is caught, mutate.js says.

import { existsSync, readFileSync } from "node:fs";
import t from "tap";
import { MUTATIONS } from "./mutations.ts";

const BUILT = new URL("../../src/", import.meta.url);
const skip = existsSync(new URL("replication/follower.js", BUILT))
  ? false
  : "the code is not built here";

t.test("each mistake can be made", { skip }, (t) => {
  for (const { name, patches } of MUTATIONS) {
    for (const [file, text] of patches) {
      const source = readFileSync(new URL(file, BUILT), "utf8");
      t.equal(source.split(text).length, 2, `${name}: ${file}`);
    }
  }
  t.end();
});

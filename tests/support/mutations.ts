// Mistakes made on purpose in built code, by putting one text for another.

import { readFileSync } from "node:fs";
import t from "tap";

/** A mistake: each text stands once in its file. */
interface Mutation {
  readonly name: string;
  readonly patches: readonly (readonly [
    file: string,
    text: string,
    replacement: string,
  ])[];
}

// Node's tests are built before they run; Deno's need not be.
const skip = "Deno" in globalThis ? "what is built is Node's" : false;

/**
 * Tests that every mistake can still be made. Whether it is caught, a program
 * says that makes them all.
 *
 * @param folder Where the files are, below dist/.
 */
export function testMutations(
  mutations: readonly Mutation[],
  folder: string,
): void {
  const built = new URL(`../../dist/${folder}`, import.meta.url);
  t.test("each mistake has a name of its own", (t) => {
    t.equal(new Set(mutations.map(({ name }) => name)).size, mutations.length);
    t.end();
  });
  t.test("each mistake can be made", { skip }, (t) => {
    for (const { name, patches } of mutations) {
      for (const [file, text] of patches) {
        const source = readFileSync(new URL(file, built), "utf8");
        t.equal(source.split(text).length, 2, `${name}: ${file}`);
      }
    }
    t.end();
  });
}

// Runs test files one after the other in this process: each is loaded once the
// one before has ended. That a file has asserted something is asserted, too.

import process from "node:process";
import t from "tap";

const root = new URL("../../", import.meta.url);

for (const file of process.argv.slice(2)) {
  const before = counted();
  await import(new URL(file, root).href);
  // Its turn comes after all that the file has asked for.
  await t.test(`the end of ${file}`, (t) => {
    t.ok(counted() > before, `${file} has asserted something`);
    t.end();
  });
}

/** How much has been asserted so far. */
function counted(): number {
  return t.counts.total;
}

// node dist/tests/simulation/mutate.js [--histories N] [part of a name …]
//
// Makes each mistake of mutations.ts in a copy of dist/, runs the simulation on
// it, and says whether it was caught. Exits with 1 if one was not.

import { parseArgs } from "node:util";
import { searchMistakes } from "../support/mutate.ts";
import { MUTATIONS } from "./mutations.ts";

const SHOWN = /^seed (\d+), (\d+) actions: (.*)$/m;
const TRIED = /^after (\d+) histories$/m;

const { values: { histories }, positionals } = parseArgs({
  allowPositionals: true,
  options: { histories: { type: "string", default: "5000" } },
});

await searchMistakes({
  mistakes: MUTATIONS,
  parts: positionals,
  folders: ["tests/simulation"],
  source: "src",
  command: ["tests/simulation/main.js", "--histories", histories],
  found: (output, { breaks }) => {
    const [, seed, actions, what] = SHOWN.exec(output) ?? [];
    return what &&
      `caught (promise ${breaks}) after ${TRIED.exec(output)?.[1]} histories ` +
        `(seed ${seed}, ${actions} actions): ${what}`;
  },
});

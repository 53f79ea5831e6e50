// node dist/tests/caches/fence_model_mutate.js [part of a name …]
//
// Makes each mistake of fence_model_mutations.ts and of fence_model_gate_mutations.ts
// in a copy of dist/, runs the small model on it, and says whether it was found.
// Exits with 1 if one was not.

import process from "node:process";
import { searchMistakes } from "../support/mutate.ts";
import { GATE_MUTATIONS } from "./fence_model_gate_mutations.ts";
import { MUTATIONS } from "./fence_model_mutations.ts";

const ARGUMENTS = ["--small", "--stride", "101", "--chance", "3000"];

await searchMistakes({
  mistakes: [...MUTATIONS, ...GATE_MUTATIONS],
  parts: process.argv.slice(2),
  folders: ["tests/caches", "tests/support"],
  source: "src/caches",
  command: ["tests/caches/fence_model_main.js", ...ARGUMENTS],
  timeoutMs: 120_000,
  found: (output) => /^violation: (.*)$/m.exec(output)?.[1],
});

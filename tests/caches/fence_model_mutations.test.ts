// The mistakes of fence_model_mutations.ts stand to the code as it is;
// fence_model_mutate.js makes them.

import { testMutations } from "../support/mutations.ts";
import { GATE_MUTATIONS } from "./fence_model_gate_mutations.ts";
import { MUTATIONS } from "./fence_model_mutations.ts";

testMutations([...MUTATIONS, ...GATE_MUTATIONS], "src/caches/");

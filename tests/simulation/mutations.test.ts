// The mistakes of mutations.ts stand to the code as it is; mutate.js makes them.

import { testMutations } from "../support/mutations.ts";
import { MUTATIONS } from "./mutations.ts";

testMutations(MUTATIONS, "src/");

// Histories of writers, readers, network, clock and crashes, seed by seed: in
// each of them every promise holds after every step. See README.md.

import process from "node:process";
import t from "tap";
import { simulate } from "./simulation.ts";

t.test("the second half of the histories keeps every promise", async (t) => {
  await simulate(t, 1, Number(process.env.SIMULATION_SEED ?? 1));
});

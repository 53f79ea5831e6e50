// What caches take of the heap, measured after garbage collection, in a process
// of its own. CHURN_OPERATIONS=10000000 in the environment is the long run.

import process from "node:process";
import t from "tap";
import { startProcess } from "../support/processes.ts";

const program = new URL("heap_process.ts", import.meta.url);
const OPERATIONS = Number(process.env.CHURN_OPERATIONS ?? 60_000);
const DEADLINE_MS = 30_000 + OPERATIONS;

interface Estimate {
  readonly shape: string;
  readonly grown: number;
  readonly bytes: number;
  readonly maxBytes: number;
}

/** What the log of the last loads keeps of keys cut out of texts of 10,000. */
interface Loads {
  readonly hasFirst: boolean;
  readonly loads: number;
  readonly grown: number;
}

t.test("The estimate of what entries take is right by a fifth", async (t) => {
  const { ended, messages, errors } = startProcess(t, program, ["estimates"]);
  t.equal(await ended, 0, errors());
  const { hasFirst, loads, grown: kept } = messages.at(-1) as Loads;
  t.ok(hasFirst && kept < loads * 1_000, `${kept} bytes of ${loads} loads`);
  const estimates = messages.slice(0, -1) as Estimate[];
  t.equal(estimates.length, 8);
  for (const { shape, grown, bytes, maxBytes } of estimates) {
    t.ok(bytes <= maxBytes, `${shape}: ${bytes} bytes`);
    const ratio = grown / bytes;
    t.ok(ratio > 0.8 && ratio < 1.2, `${shape}: ${ratio} of the estimate`);
  }
});

interface Churn {
  readonly samples: readonly number[];
  readonly bytes: number;
  readonly maxBytes: number;
}

t.test(`Caches don't grow, whatever is done to them ${OPERATIONS} times`, async (t) => {
  const child = startProcess(t, program, ["churn", `${OPERATIONS}`]);
  const heard = (message: Churn) => message.samples.length > 0;
  const churn = await child.hear<Churn>("the end", heard, DEADLINE_MS);
  t.equal(await child.ended, 0, child.errors());
  const { samples, bytes, maxBytes } = churn;
  t.ok(bytes <= maxBytes, `${bytes} bytes of ${maxBytes}`);
  const half = samples.length / 2;
  const early = Math.max(...samples.slice(0, half));
  const late = Math.max(...samples.slice(half));
  // Caches of 2 MiB; the rest is the program and what V8 makes of it.
  t.ok(late < early + 2e6, `${early} bytes early, ${late} late`);
});

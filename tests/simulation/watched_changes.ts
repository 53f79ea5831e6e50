// Change caches of a simulated reader: whatever it has reached, no change of it
// may be unknown to them.

import { ChangeRegistry } from "../../src/caches/change_registry.ts";
import { defineChangeCache } from "../../src/caches/mod.ts";
import { silentLogger } from "../../src/runtime/logger.ts";
import { notes } from "./plan.ts";
import type { Truth } from "./truth.ts";
import { Violation } from "./violation.ts";

/** Some rows share one, so that entities change again. */
const entityOf = (row: string) => row.slice(-1);

/** So few that it forgets. */
const changed = defineChangeCache("changed", {
  stream: notes,
  entities: (row) => [entityOf(row)],
  maxPositions: 20,
  prefillTokens: 50,
});

/** Commits that are looked at each time: those before were. */
const LATEST = 16;

/** A reader's change caches, held against the truth. */
export class WatchedChanges extends ChangeRegistry {
  readonly #truth: Truth;

  constructor(truth: Truth) {
    super([changed], silentLogger);
    this.#truth = truth;
  }

  /** All up to a token is applied: whoever asks about the time before is told. */
  require(instance: string, reached: number): void {
    const cache = this.all[0]?.caches.get(instance);
    const latest = this.#truth.history.slice(-LATEST);
    for (const { instance: writer, token, plan } of latest) {
      if (writer !== instance || token > reached) continue;
      for (const row of plan.rows.get(notes.name) ?? []) {
        if (cache?.hasChanged(entityOf(row), token - 1)) continue;
        throw new Violation(
          3,
          `reaches ${instance}/${reached}, and the change of ` +
            `${entityOf(row)} at ${token} is not known`,
        );
      }
    }
  }
}

// A handler that is called again where it failed: it must be given each batch,
// in order, until it succeeds or the batch is given up.

import type {
  Batch,
  HandlerFailure,
} from "../../src/replication/stream_subscription.ts";
import type { SimulatedProcess } from "./simulated_process.ts";
import { Violation } from "./violation.ts";

/** How often it fails. */
const FAILING = 0.15;

export class RetriedHandler {
  readonly #process: SimulatedProcess;
  readonly #broken: (error: unknown) => void;
  /** By stream, what was due and is not done with. */
  readonly #due = new Map<string, string[]>();

  constructor(process: SimulatedProcess, broken: (error: unknown) => void) {
    this.#process = process;
    this.#broken = broken;
  }

  /** Whether it has been through with everything. */
  get isIdle(): boolean {
    return [...this.#due.values()].every((due) => due.length === 0);
  }

  /** A transaction is applied: its rows are next, after those that wait. */
  due(
    stream: string,
    instance: string,
    token: number,
    rows: readonly unknown[],
  ): void {
    const due = this.#due.get(stream) ?? [];
    due.push(textOf({ instance, token, rows }));
    this.#due.set(stream, due);
  }

  /** It is called. */
  take(batch: Batch): void | Promise<void> {
    const { random } = this.#process;
    const isFailing = random.chance(FAILING);
    const done = () => {
      if (isFailing) throw new Error("the handler fails");
      this.#shift(batch);
    };
    this.#require(batch);
    if (!random.chance(0.2)) return done();
    return this.#process.wait(random.within([0, 20])).then(done);
  }

  failed({ batch, isGivenUp }: HandlerFailure): void {
    if (isGivenUp) this.#shift(batch);
  }

  #shift(batch: Batch): void {
    this.#require(batch);
    this.#due.get(batch.stream)?.shift();
  }

  #require(batch: Batch): void {
    const next = this.#due.get(batch.stream)?.[0];
    if (next === textOf(batch) || !this.#process.isAlive) return;
    this.#broken(
      new Violation(
        3,
        `${this.#process.name}: a handler that is called again gets ` +
          `${textOf(batch)}, and ${next} is next`,
      ),
    );
  }
}

function textOf(
  { instance, token, rows }: Pick<Batch, "instance" | "rows"> & {
    token: number;
  },
): string {
  return `${instance}/${token} [${rows}]`;
}

// What may happen. Which of it can is asked of the model; what a command picks
// among, it picks by a number, so that it stays the same where others before it
// are left out.

import fc from "fast-check";
import {
  forget,
  held,
  type Kind,
  type Model,
  openOf,
  type OpenTransaction,
  openWriters,
  pick,
  undecided,
} from "./model.ts";
import type { Run } from "./run.ts";
import type { Decision } from "./world.ts";

/** What fast-check makes runs of. */
export type Command = fc.AsyncCommand<Model, Run>;

const MAX_OPEN = 6;
const MAX_OPEN_OF_ONE = 3;

/** How one is written down: its name, when it can be, and what it does. */
interface Definition {
  readonly name: string;
  readonly can: (model: Model) => boolean;
  readonly run: (model: Model, run: Run) => Promise<void> | void;
}

class Defined implements Command {
  readonly #definition: Definition;

  constructor(definition: Definition) {
    this.#definition = definition;
  }

  check(model: Readonly<Model>): boolean {
    return this.#definition.can(model);
  }

  async run(model: Model, run: Run): Promise<void> {
    run.world.count(this.#definition.name.replace(/\(.*/, ""));
    await this.#definition.run(model, run);
    await turns();
  }

  toString(): string {
    return this.#definition.name;
  }
}

/** Lets what is under way go on a little. */
async function turns(count = 3): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits for what has been decided, where nothing that is open can hold it up. */
async function settle(model: Model, run: Run, id: number): Promise<void> {
  if (run.isShaken) return;
  // SQLite has one lock, and transactions may share a commit.
  if (model.isPostgres) await run.transaction(id).ended;
  else if (model.open.length === 0) await run.settle();
}

/** Nobody has SQLite's write lock, or is waiting for it. */
const isFree = ({ isPostgres, open }: Model) => isPostgres || open.length === 0;

/** Adds rows to a transaction. */
function addRows(run: Run, id: number, kinds: readonly Kind[]): void {
  const { rows, wake } = run.transaction(id);
  for (const kind of kinds) rows.push({ id: `${id}.${rows.length + 1}`, kind });
  wake();
}

/** Begins a transaction of a writer. */
function add(
  model: Model,
  run: Run,
  writer: number,
  kinds: readonly Kind[],
): OpenTransaction {
  const transaction = { id: model.nextId++, writer, isHeld: false };
  model.open.push(transaction);
  run.begin(writer, transaction.id);
  // What holds its commit back looks at its events.
  addRows(run, transaction.id, ["event", ...kinds]);
  return transaction;
}

const begin = (writer: number, kinds: readonly Kind[]): Definition => ({
  name: `begin(${writer}, ${kinds})`,
  can: (model) =>
    model.open.length < MAX_OPEN && openWriters(model).some(roomIn(model)),
  run(model, run) {
    add(
      model,
      run,
      pick(openWriters(model).filter(roomIn(model)), writer),
      kinds,
    );
  },
});

/** PostgreSQL: a later token of a writer commits, while the earlier is held back. */
const overtake = (writer: number, kinds: readonly Kind[]): Definition => ({
  name: `overtake(${writer}, ${kinds})`,
  can: (model) =>
    model.isPostgres && model.open.length + 1 < MAX_OPEN &&
    openWriters(model).some(roomIn(model, 2)),
  async run(model, run) {
    const able = openWriters(model).filter(roomIn(model, 2));
    const chosen = pick(able, writer);
    await holdBack(run, add(model, run, chosen, kinds));
    const next = add(model, run, chosen, kinds);
    forget(model, next);
    run.decide(next.id, "commit");
    await settle(model, run, next.id);
  },
});

/** Whether a writer may begin so many. */
const roomIn = (model: Model, count = 1) => (writer: number) =>
  openOf(model, writer).length + count <= MAX_OPEN_OF_ONE;

const write = (transaction: number, kinds: readonly Kind[]): Definition => ({
  name: `write(${transaction}, ${kinds})`,
  can: (model) => undecided(model).length > 0,
  run(model, run) {
    addRows(run, pick(undecided(model), transaction).id, kinds);
  },
});

const end = (transaction: number, how: Decision): Definition => ({
  name: `${how}(${transaction})`,
  can: (model) => undecided(model).length > 0,
  async run(model, run) {
    const chosen = pick(undecided(model), transaction);
    forget(model, chosen);
    run.decide(chosen.id, how);
    await settle(model, run, chosen.id);
  },
});

/** Has a transaction take its token, and wait within its COMMIT. */
async function holdBack(run: Run, transaction: OpenTransaction): Promise<void> {
  const { id } = transaction;
  transaction.isHeld = true;
  await run.world.hold(id);
  run.decide(id, "commit");
  if (!run.isShaken) await run.world.whenHeld(run.transaction(id));
}

/** PostgreSQL only. */
const hold = (transaction: number): Definition => ({
  name: `hold(${transaction})`,
  can: (model) => model.isPostgres && undecided(model).length > 0,
  run: (model, run) => holdBack(run, pick(undecided(model), transaction)),
});

const release = (transaction: number, how: Decision): Definition => ({
  name: `release(${transaction}, ${how})`,
  can: (model) => held(model).length > 0,
  async run(model, run) {
    const chosen = pick(held(model), transaction);
    forget(model, chosen);
    if (how === "roll back") run.transaction(chosen.id).decision = how;
    await run.world.release(chosen.id, how);
    await settle(model, run, chosen.id);
  },
});

const close = (writer: number): Definition => ({
  name: `close(${writer})`,
  can: (model) =>
    isFree(model) &&
    openWriters(model).some((each) => openOf(model, each).length === 0),
  async run(model, run) {
    const idle = openWriters(model).filter((each) =>
      openOf(model, each).length === 0
    );
    const chosen = pick(idle, writer);
    model.writers[chosen] = false;
    // What it has decided may wait for what others hold: closing waits for it.
    if (run.isShaken) await run.releaseAll(model);
    await run.writer(chosen).close();
  },
});

const reopen = (writer: number): Definition => ({
  name: `reopen(${writer})`,
  can: (model) => isFree(model) && model.writers.includes(false),
  async run(model, run) {
    const closed = model.writers.flatMap((isOpen, index) =>
      isOpen ? [] : [index]
    );
    const chosen = pick(closed, writer);
    await run.reopen(chosen);
    model.writers[chosen] = true;
  },
});

const crash = (writer: number): Definition => ({
  name: `crash(${writer})`,
  can: (model) => openWriters(model).some((each) => canCrash(model, each)),
  async run(model, run) {
    const able = openWriters(model).filter((each) => canCrash(model, each));
    const chosen = pick(able, writer);
    const own = openOf(model, chosen);
    for (const each of own) forget(model, each);
    await run.takeOver(chosen);
    for (const { id, isHeld } of own) {
      if (isHeld) await run.world.release(id, "commit");
    }
  },
});

/** On SQLite others' open transactions would keep the next holder out. */
function canCrash(model: Model, writer: number): boolean {
  return model.isPostgres ||
    openOf(model, writer).length === model.open.length;
}

const cut: Definition = {
  name: "cut",
  can: ({ isPostgres }) => isPostgres,
  async run(_model, run) {
    run.isShaken = true;
    await run.world.cut();
  },
};

const idle: Definition = {
  name: "idle",
  can: () => true,
  run: () => turns(20),
};

const page = (tokens: number): Definition => ({
  name: `page(${tokens})`,
  can: () => true,
  run: (_model, run) => run.events.step(tokens),
});

const restartPager: Definition = {
  name: "restartPager",
  can: () => true,
  run: (_model, run) => run.events.restart(),
};

const readRows = (writer: number, limit: number): Definition => ({
  name: `readRows(${writer}, ${limit})`,
  can: (model) => openWriters(model).length > 0,
  async run(model, run) {
    const store = run.writer(pick(openWriters(model), writer));
    await run.rows.step(store, limit);
  },
});

const restartProjection: Definition = {
  name: "restartProjection",
  can: isFree,
  run: (_model, run) => run.projector.restart(),
};

const any = fc.nat({ max: 11 });
const some = fc.integer({ min: 1, max: 3 });
const how = fc.constantFrom<Decision>("commit", "commit", "roll back");
const kinds = fc.array(fc.constantFrom<Kind>("event", "mark"), {
  minLength: 1,
  maxLength: 4,
});
const once = (definition: Definition) => fc.constant(definition);

/** How often each is chosen, beside the others. */
const CHOICES: readonly (readonly [number, fc.Arbitrary<Definition>])[] = [
  [14, fc.tuple(any, kinds).map(([of, kinds]) => begin(of, kinds))],
  [8, fc.tuple(any, kinds).map(([of, kinds]) => write(of, kinds))],
  [11, fc.tuple(any, how).map(([of, how]) => end(of, how))],
  [6, any.map(hold)],
  [5, fc.tuple(any, kinds).map(([of, kinds]) => overtake(of, kinds))],
  [5, fc.tuple(any, how).map(([of, how]) => release(of, how))],
  [2, any.map(close)],
  [4, any.map(reopen)],
  // After one of these little is as it was: so rarely that much comes before.
  [2, any.map(crash)],
  [1, once(cut)],
  [2, once(idle)],
  [3, some.map(page)],
  [1, once(restartPager)],
  [3, fc.tuple(any, some).map(([of, limit]) => readRows(of, limit))],
  [1, once(restartProjection)],
];

/** Each command as often as its weight says: fast-check chooses among them evenly. */
export const commands: fc.Arbitrary<Command>[] = CHOICES.flatMap(
  ([weight, definition]) => {
    const command = definition.map((each): Command => new Defined(each));
    return Array.from({ length: weight }, () => command);
  },
);

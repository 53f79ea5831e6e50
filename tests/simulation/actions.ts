// What may happen in a history. An action picks whom it befalls by numbers of
// its own, so that it stays the same where others before it are left out.

import { ENTRIES, STREAMS } from "./plan.ts";
import type { SeededRandom } from "../../src/testing/mod.ts";
import type { World } from "./world.ts";

/** Something that happens, as it is written down. */
export interface Action {
  readonly kind: Kind;
  /** What it picks by. */
  readonly numbers: readonly [number, number, number];
  /** How long it is until the next one, in ms. */
  readonly thenMs: number;
}

type Deed = (world: World, a: number, b: number, c: number) => void;

/** One of them, by any number. */
function pick<Value>(
  values: readonly Value[],
  number: number,
): Value | undefined {
  return values.length === 0 ? undefined : values[number % values.length];
}

const DEEDS = {
  write: [34, (world, a, b, c) => {
    pick(world.writers, a >> 4)?.write(world.plan(a, b, c));
  }],
  burst: [3, (world, a, b, c) => {
    const writer = pick(world.writers, a >> 4);
    for (let count = 0; count < 12; count += 1) {
      writer?.write(world.plan(a + count, b + count, c));
    }
  }],
  read: [26, (world, a, b) => {
    const entry = pick(ENTRIES, b);
    if (entry !== undefined) pick(world.readers, a)?.read(entry);
  }],
  readAll: [4, (world, a) => {
    for (const entry of ENTRIES) pick(world.readers, a)?.read(entry);
  }],
  wait: [8, (world, a, b, c) => {
    const commit = pick(world.truth.history.slice(-3), b);
    const key = pick(commit?.plan.keys ?? [], c);
    const entry = ENTRIES.find((each) => each.key === key) ?? ENTRIES[0];
    if (commit === undefined || entry === undefined) return;
    pick(world.readers, a)?.waitFor(commit, entry, 50 + (c % 8) * 300);
  }],
  cut: [3, (world, a) => pick(world.network.links, a)?.cut()],
  cutAll: [1, (world) => world.network.cutAll()],
  halfOpen: [1, (world, a, b) => {
    pick(world.network.links, a)?.cut(b % 2 === 0 ? "client" : "server");
  }],
  stall: [3, (world, a, b) => {
    pick(world.network.links, a)?.stall(b % 3 === 0 ? undefined : b % 700);
  }],
  resumeAll: [2, (world) => world.network.resumeAll()],
  part: [1, (world, a) => {
    if (world.isKeptWhole) return;
    const reader = pick(world.readers, a)?.process.name ?? "";
    world.network.partition(
      [reader],
      world.writers.map(({ process }) => process.name),
    );
  }],
  heal: [2, (world) => world.network.heal()],
  // Of what is told on a channel meanwhile it would hear nothing.
  pauseReader: [1, (world, a) => {
    if (!world.isKeptWhole) pick(world.readers, a)?.process.pause();
  }],
  pauseWriter: [1, (world, a) => pick(world.writers, a)?.process.pause()],
  resumeProcesses: [3, (world) => {
    for (const { process } of [...world.readers, ...world.writers]) {
      process.resume();
    }
  }],
  restartReader: [1, (world, a) => {
    const reader = pick(world.readers, a);
    if (reader !== undefined) world.replaceReader(reader);
  }],
  restartWriter: [3, (world, a, b) => {
    const writer = pick(world.writers, a);
    if (writer !== undefined) world.restart(writer, b % 3 !== 0);
  }],
  secondHolder: [1, (world, a) => {
    const instance = pick(world.settings.instances, a);
    // More would only wait for each other.
    if (instance === undefined || world.writers.length > 3) return;
    world.addWriter(instance);
  }],
  retain: [3, (world, a, b, c) => {
    const stream = pick(["caches", ...STREAMS], b) ?? "caches";
    const writer = pick(world.writers.filter(({ isOpen }) => isOpen), a);
    // What is deleted before its commit was answered is looked up in vain: see README.md.
    if (world.writers.some(({ pending }) => pending > 0)) return;
    writer?.retain(stream, c % 3);
  }],
  copy: [3, (world) => world.takeCopy(false)],
  copyAnew: [1, (world) => world.takeCopy(true)],
  restore: [2, (world) => {
    if (world.copy !== undefined) world.restore(world.copy);
  }],
  jumpClock: [1, (world, a, b) => {
    pick([...world.writers, ...world.readers], a)?.process
      .jump((b % 2 === 0 ? 1 : -1) * (b % 9) * 1_000);
  }],
  databaseDown: [1, (world) => world.database.down()],
  databaseUp: [2, (world) => world.database.up()],
  stallReplica: [1, (world) => world.replica?.stall()],
  resumeReplica: [1, (world) => world.replica?.resume()],
} as const satisfies Record<string, readonly [weight: number, deed: Deed]>;

/** Its name. */
export type Kind = keyof typeof DEEDS;

const BAG = Object.entries(DEEDS).flatMap(([kind, [weight]]) =>
  Array.from({ length: weight }, () => kind as Kind)
);

/** What happens in a history. */
export function makeActions(random: SeededRandom): Action[] {
  const length = 6 + random.below(24);
  return Array.from({ length }, () => ({
    kind: random.pick(BAG),
    numbers: [random.below(4096), random.below(4096), random.below(4096)],
    thenMs: pauseMs(random),
  }));
}

/** Has it happen. */
export function perform(world: World, { kind, numbers }: Action): void {
  const [, deed]: readonly [number, Deed] = DEEDS[kind];
  deed(world, ...numbers);
}

function pauseMs(random: SeededRandom): number {
  const chance = random.fraction();
  if (chance < 0.25) return 0;
  if (chance < 0.8) return random.within([0, 15]);
  return chance < 0.97 ? random.within([15, 250]) : random.within([250, 3_000]);
}

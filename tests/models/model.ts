// What the test knows by itself: which writers there are, which transactions
// are open, and what each of them wrote. Commands are chosen by it alone.

/** Which stream a row goes to. */
export type Kind = "event" | "mark";

/** A row of a transaction: `12.3` is the third of transaction 12. */
export interface ModelRow {
  readonly id: string;
  readonly kind: Kind;
}

/** A transaction that the test has begun and has not decided on, or holds in its commit. */
export interface OpenTransaction {
  readonly id: number;
  readonly writer: number;
  /** It has its token; its COMMIT waits in the server. */
  isHeld: boolean;
}

/** The state that commands are chosen by. */
export interface Model {
  readonly isPostgres: boolean;
  /** The number of the next transaction; never given twice in a database. */
  nextId: number;
  /** By writer, whether it is open. */
  readonly writers: boolean[];
  readonly open: OpenTransaction[];
}

/** The writers that are open. */
export function openWriters({ writers }: Model): number[] {
  return writers.flatMap((isOpen, index) => isOpen ? [index] : []);
}

/** The transactions that still take rows. */
export function undecided({ open }: Model): OpenTransaction[] {
  return open.filter(({ isHeld }) => !isHeld);
}

/** Those whose commit is held back. */
export function held({ open }: Model): OpenTransaction[] {
  return open.filter(({ isHeld }) => isHeld);
}

/** Those of a writer. */
export function openOf({ open }: Model, writer: number): OpenTransaction[] {
  return open.filter((each) => each.writer === writer);
}

/** Forgets one. */
export function forget({ open }: Model, transaction: OpenTransaction): void {
  open.splice(open.indexOf(transaction), 1);
}

/** One of them, by any number. */
export function pick<Value>(values: readonly Value[], number: number): Value {
  return values[number % values.length] as Value;
}

/**
 * What a projection is.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Transaction } from "kysely";
import type { AggregateKind } from "../events/aggregate.ts";
import type { StoredEvent } from "../events/event.ts";
import { upcasterOf } from "../events/typed_events.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";

/** An event as a projection's handler gets it. */
export type ProjectedEvent = Omit<StoredEvent<string, unknown>, "token">;

/**
 * The name of one of the projection's tables as it is now: while it is rebuilt,
 * the new one has another. Every other name, such as an index's, is given an
 * ending that is different for each rebuild: tables are renamed once they are
 * built, indexes stay as they are.
 */
export type TableOf = <Name extends string>(name: Name) => Name;

/** What a projection writes with. */
export interface ProjectionContext<Database> {
  /** The transaction that its effects, and its checkpoint, are part of. */
  readonly db: Transaction<Database>;
  /** See {@linkcode TableOf}. */
  readonly table: TableOf;
}

/** Tables that are made of events. */
export interface Projection<Database = unknown> {
  /** The projection's name, which its checkpoint stands under. */
  readonly name: string;
  /**
   * The version of what it makes of events. A higher one than the stored has it
   * rebuilt from zero; its tables serve meanwhile as they were, as this code
   * can't go on with them. A lower one is not run.
   *
   * @default {1}
   */
  readonly version?: number | undefined;
  /**
   * Its tables, which nobody else writes, of at most 57 bytes each. One that a
   * new version doesn't name any more is left for you to drop.
   */
  readonly tables: readonly string[];
  /**
   * Only events of these types.
   *
   * @default {all}
   */
  readonly types?: readonly string[] | undefined;
  /**
   * Only events of aggregates whose id begins so.
   *
   * @default {all}
   */
  readonly aggregatePrefix?: string | undefined;
  /**
   * Kinds whose events come checked and in their newest version, as
   * `readAggregate` gives them; those of other aggregates come as they stand in
   * the log. One that its kind does not know fails as if the handler had.
   *
   * @default {none}
   */
  readonly aggregates?: readonly AggregateKind[] | undefined;
  /** Makes its tables, empty, and their indexes: `createIndex(table("ix_name"))`. */
  create(context: ProjectionContext<Database>): Promise<void>;
  /** Takes an event in. What it does besides `db` is not undone if it fails. */
  handle(
    event: ProjectedEvent,
    context: ProjectionContext<Database>,
  ): Promise<void> | void;
}

/** The names of what a {@linkcode Projection} has. */
export const PROJECTION_NAMES: OptionNames<Projection> = {
  name: true,
  version: true,
  tables: true,
  types: true,
  aggregatePrefix: true,
  aggregates: true,
  create: true,
  handle: true,
};

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;

const NEXT = "__next";
/** PostgreSQL cuts longer names off: a new table would be the old one. */
const MAX_TABLE_BYTES = 63 - NEXT.length;

/**
 * Declares a projection.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT` for a name, a version or tables that can't be.
 *
 * @example Usage
 * ```ts
 * import { equal } from "node:assert/strict";
 * import { defineProjection } from "headwater/projections";
 *
 * interface Database {
 *   name_counts: { name: string; count: number };
 * }
 *
 * const counts = defineProjection<Database>({
 *   name: "name_counts",
 *   tables: ["name_counts"],
 *   types: ["renamed"],
 *   async create({ db, table }) {
 *     await db.schema.createTable(table("name_counts"))
 *       .addColumn("name", "text", (column) => column.primaryKey())
 *       .addColumn("count", "integer", (column) => column.notNull()).execute();
 *     await db.schema.createIndex(table("ix_name_counts"))
 *       .on(table("name_counts")).column("count").execute();
 *   },
 *   async handle(event, { db, table }) {
 *     const { name } = event.data as { name: string };
 *     await db.insertInto(table("name_counts")).values({ name, count: 1 })
 *       .onConflict((conflict) =>
 *         conflict.column("name").doUpdateSet((eb) => ({
 *           count: eb(eb.ref(`${table("name_counts")}.count`), "+", 1),
 *         }))
 *       ).execute();
 *   },
 * });
 * equal(counts.name, "name_counts");
 * ```
 */
export function defineProjection<Database>(
  projection: Projection<Database>,
): Projection<Database> {
  const { name, version = 1, tables } = projection;
  const refuse = (problem: string) => {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot define projection ${quote(String(name))}: ${problem}`,
    );
  };
  if (typeof name !== "string" || !NAME.test(name)) {
    refuse(
      'give a letter or "_", then up to 63 letters, digits, "_", "." or "-"',
    );
  }
  if (!Number.isSafeInteger(version) || version < 1) {
    refuse(`its version is ${version}; give 1, 2, 3, …`);
  }
  requireNames(`define projection ${name}`, PROJECTION_NAMES, projection);
  if (
    !Array.isArray(tables) || tables.some((each) => typeof each !== "string")
  ) {
    refuse("give the names of its tables");
  }
  const long = tables.find((each) => Buffer.byteLength(each) > MAX_TABLE_BYTES);
  if (long !== undefined) {
    refuse(
      `table ${
        quote(long)
      } has a name of more than ${MAX_TABLE_BYTES} bytes; ` +
        "give a shorter one",
    );
  }
  const { aggregates } = projection;
  if (aggregates === undefined) return Object.freeze({ ...projection });
  const upcast = upcasterOf(aggregates);
  return Object.freeze<Projection<Database>>({
    ...projection,
    handle: (event, context) =>
      projection.handle({ ...event, ...upcast(event) }, context),
  });
}

/** Whether an event is one of the projection's. */
export function isWanted<Database>(
  { types, aggregatePrefix = "" }: Projection<Database>,
  event: ProjectedEvent,
): boolean {
  return (types === undefined || types.includes(event.type)) &&
    event.aggregate.startsWith(aggregatePrefix);
}

/** The tables that are read, when they are first made. */
export const servingTable: TableOf = (name) => name;

/** Which of a projection's tables are meant. */
export interface Build {
  /** How often they have been swapped, those that are meant included. */
  readonly number: number;
  /** Whether they are being built, to take the others' place. */
  readonly isNext: boolean;
}

/** The names of a build's tables, and of what belongs to them. */
export function tablesOf(
  tables: readonly string[],
  { number, isNext }: Build,
): TableOf {
  return <Name extends string>(name: Name) => {
    if (tables.includes(name)) return isNext ? nextTable(name) : name;
    return number === 0 ? name : `${name}__${number}` as Name;
  };
}

/** The table that is being built, to take the place of one. */
export const nextTable: TableOf = <Name extends string>(name: Name) =>
  `${name}${NEXT}` as Name;

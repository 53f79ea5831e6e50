/**
 * What a projection is.
 *
 * @module
 */

import type { Transaction } from "kysely";
import type { AggregateKind } from "../events/aggregate.ts";
import type { StoredEvent } from "../events/event.ts";
import { upcasterOf } from "../events/typed_events.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";

/** An event as a projection's handler gets it. */
export type ProjectedEvent = Omit<StoredEvent<string, unknown>, "token">;

/**
 * The name of one of the projection's tables as it is now: while it is rebuilt,
 * the new one has another.
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
   * The version of what it makes of events. Another than the stored one has it
   * rebuilt from zero.
   *
   * @default {1}
   */
  readonly version?: number | undefined;
  /** Its tables, which nobody else writes. */
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
  /** Makes its tables, empty. */
  create(context: ProjectionContext<Database>): Promise<void>;
  /** Takes an event in. What it does besides `db` is not undone if it fails. */
  handle(
    event: ProjectedEvent,
    context: ProjectionContext<Database>,
  ): Promise<void> | void;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;

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
  if (
    !Array.isArray(tables) || tables.some((each) => typeof each !== "string")
  ) {
    refuse("give the names of its tables");
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

/** The tables that are read. */
export const servingTable: TableOf = (name) => name;

/** The tables that are being built, to take the others' place. */
export const nextTable: TableOf = <Name extends string>(name: Name) =>
  `${name}__next` as Name;

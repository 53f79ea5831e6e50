// What the processes of the random faults have in common: what is written, what
// is cached of it, and what they tell each other.

import { z } from "zod";
import {
  cached,
  type CacheGroup,
  defineCacheGroup,
  defineStream,
  Store,
  type Stream,
} from "../../mod.ts";
import type { TlsOptions } from "../../src/writer/mod.ts";
import type { TestDatabase } from "../support/stores.ts";

/** Users that are written, round and round. */
export const KEYS = 20;

/** Shelves that they stand on. */
export const SHELVES = 3;

/** Heartbeats fast enough that a connection to nowhere is noticed within a test. */
export const BEATS = {
  pingIntervalMs: 200,
  silenceTimeoutMs: 1_000,
  redisPingIntervalMs: 500,
} as const;

/** Numbers without a gap, some of them in every transaction. */
export const notes: Stream<number> = defineStream("notes", z.int());

/** What changes with a user, under one name. */
export const userGroup: CacheGroup<[string, string]> = defineCacheGroup(
  "user",
  z.tuple([z.string(), z.string()]),
  ([id, shelf]) => [["getVersion", [id]], ["sumVersions", [shelf]]],
);

/** Reads, none of which ever gives less than before. */
export class Versions extends Store<TestDatabase> {
  /** Invalidated key by key. */
  @cached({ maxEntries: 1_000 })
  async getVersion(id: string): Promise<number> {
    return await this.readVersion(id);
  }

  /** Invalidated by a group. */
  @cached({ maxEntries: 100 })
  async sumVersions(shelf: string): Promise<number> {
    return await this.readSum(shelf);
  }

  /** Invalidated as a whole. */
  @cached({ maxEntries: 1 })
  async countUsers(): Promise<number> {
    return await this.readCount();
  }

  async readVersion(id: string): Promise<number> {
    const row = await this.db.selectFrom("users").select("version")
      .where("id", "=", id).executeTakeFirst();
    return row?.version ?? 0;
  }

  async readSum(shelf: string): Promise<number> {
    const row = await this.db.selectFrom("users")
      .select((eb) => eb.fn.sum<number | null>("version").as("sum"))
      .where("name", "=", shelf).executeTakeFirstOrThrow();
    return Number(row.sum ?? 0);
  }

  async readCount(): Promise<number> {
    const row = await this.db.selectFrom("users")
      .select((eb) => eb.fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    return Number(row.count);
  }
}

/** A commit, and what must be seen by whoever has waited for it. */
export interface Commit {
  readonly instance: string;
  readonly token: number;
  readonly id: string;
  readonly version: number;
  readonly shelf: string;
  readonly sum: number;
  readonly count: number;
  /** The last of the notes. */
  readonly note: number;
}

/** How the writer is started. */
export interface WriterTask {
  readonly database: string;
  readonly listen: readonly string[];
  readonly tls: TlsOptions;
}

/** What the writer says. */
export interface WriterSays {
  readonly urls?: readonly string[];
  readonly commit?: Commit | undefined;
  /** The last of all. */
  readonly last?: Commit | undefined;
}

/** How a reader process is started: it has a store for each wire. */
export interface ReaderTask {
  readonly database: string;
  readonly wires: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
}

/** What readers are told. */
export interface ReaderHears {
  readonly commit?: Commit | undefined;
  readonly last?: Commit | undefined;
}

/** What a reader says of one wire in the end. */
export interface Verdict {
  readonly wire: string;
  /** What was wrong, the first few. */
  readonly problems: readonly string[];
  /** Commits that it has waited for, and compared its caches with. */
  readonly waits: number;
  readonly batches: number;
  readonly connections: number;
  readonly catchUps: number;
  readonly flushes: number;
}

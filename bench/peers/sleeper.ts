/**
 * A reader that was away: catches up with what it has missed, ours or by hand,
 * and watches its memory meanwhile.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import process from "node:process";
import { SlavedStore } from "headwater";
import { LRUCache } from "lru-cache";
import postgres from "postgres";
import type { HandCache } from "../support/hand_scan.ts";
import { type Database, keyOf, Names } from "../support/store.ts";

/** What the sleeper is asked to do next. */
export type SleeperRequest =
  /** Connect, and fill the cache; answers once it is. */
  | {
    readonly kind: "open";
    readonly database: string;
    /** Where the writer is; nowhere, and the log is read by hand. */
    readonly url?: string | undefined;
    readonly keys: number;
  }
  /** Answers once everything up to the token is applied. */
  | { readonly kind: "wait"; readonly token: number };

/** What the sleeper tells. */
export interface Woken {
  /** Keys left in the cache. */
  readonly left: number;
  /** The greatest memory meanwhile, above what it was before. */
  readonly growthMiB: number;
}

interface Side {
  wait(token: number): Promise<void>;
  entries(): number;
}

const SAMPLE_MS = 5;
const PAGE = 1_000;
const MEBIBYTE = 1024 * 1024;

let side: Side | undefined;
let baseBytes = 0;
let mostBytes = 0;

process.on("message", async (request: SleeperRequest) => {
  process.send?.(await answer(request));
});

async function answer(request: SleeperRequest): Promise<unknown> {
  if (request.kind === "open") {
    const { database, url, keys } = request;
    side = url === undefined
      ? openByHand(database, keys)
      : await openOurs(database, url, keys);
    baseBytes = process.memoryUsage.rss();
    setInterval(sample, SAMPLE_MS);
    return "ready";
  }
  await side?.wait(request.token);
  sample();
  const growthMiB = (mostBytes - baseBytes) / MEBIBYTE;
  return { left: side?.entries() ?? NaN, growthMiB } satisfies Woken;
}

function sample(): void {
  mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
}

async function openOurs(
  database: string,
  replicate: string,
  keys: number,
): Promise<Side> {
  const slaved = await SlavedStore.connect<Database>({ database, replicate });
  const names = slaved.attach(Names);
  for (let key = 0; key < keys; key += 1) await names.getName(keyOf(key));
  return {
    wait: async (token) => {
      const commit = { instance: "master", token };
      await slaved.waitFor(commit, { timeoutMs: 120_000 });
    },
    entries: () => slaved.caches()[0]?.entries ?? NaN,
  };
}

const READ_PAGE = (one: string, two: string) =>
  `SELECT token, body FROM headwater_log WHERE token > ${one}
  AND token <= ${two} AND stream = 'caches' ORDER BY token LIMIT ${PAGE}`;

type Page = readonly (readonly [token: number | string, body: string])[];

/** Reads the rows through the driver alone, and deletes what they name. */
function openByHand(database: string, keys: number): Side {
  const cache: HandCache = new LRUCache({ max: 200_000 });
  for (let key = 0; key < keys; key += 1) {
    cache.set(keyOf(key), Promise.resolve(keyOf(key)));
  }
  const read = database.startsWith("sqlite:")
    ? readSqlite(database.slice("sqlite:".length))
    : readPostgres(database);
  return {
    async wait(token) {
      for (let after = 0; after < token;) {
        const page = await read(after, token);
        for (const [, body] of page) {
          for (const key of JSON.parse(body)[2]) cache.delete(key);
        }
        after = page.length < PAGE ? token : Number(page.at(-1)?.[0]);
      }
    },
    entries: () => cache.size,
  };
}

type Read = (after: number, upTo: number) => Promise<Page>;

function readSqlite(path: string): Read {
  const database = new DatabaseSync(path, { readOnly: true });
  const statement = database.prepare(READ_PAGE("?", "?"));
  statement.setReturnArrays(true);
  return (after, upTo) =>
    Promise.resolve(statement.all(after, upTo) as unknown as Page);
}

function readPostgres(url: string): Read {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return async (after, upTo) =>
    await sql.unsafe(READ_PAGE("$1", "$2"), [after, upTo], { prepare: true })
      .values() as unknown as Page;
}

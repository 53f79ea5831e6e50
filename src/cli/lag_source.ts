/**
 * Where `headwater lag` reads what it tells.
 *
 * @module
 */

import { SlavedStore } from "../../mod.ts";
import { type Admin, type AdminOptions, openAdmin } from "../admin/mod.ts";
import type { TlsOptions } from "../slaved/mod.ts";
import { observeWriters } from "./lag_observer.ts";
import type { LagReport, LagSource } from "./lag_report.ts";

/** What is opened. */
export interface LagSourceOptions extends AdminOptions {
  /** Where writers listen. */
  readonly replicate?: readonly string[] | undefined;
  readonly tls: TlsOptions;
}

const DATABASE = /^(sqlite|postgres|postgresql):/;

/**
 * Opens a database, with or without its writers, or writers alone.
 *
 * @param url A database's; else where a writer listens.
 */
export async function openLagSource(
  url: string,
  { replicate = [], tls, tablePrefix, schema }: LagSourceOptions,
): Promise<LagSource> {
  if (!DATABASE.test(url)) {
    return await observeWriters([url, ...replicate], tls);
  }
  const admin = await openAdmin(url, { tablePrefix, schema });
  if (replicate.length === 0) return openDatabase(admin, undefined);
  try {
    const slaved = await SlavedStore.connect<Record<string, never>>({
      tablePrefix,
      schema,
      database: url,
      replicate,
      tls,
      name: "headwater lag",
    });
    return openDatabase(admin, slaved);
  } catch (error) {
    await admin.close();
    throw error;
  }
}

type Observer = SlavedStore<Record<string, never>>;

function openDatabase(admin: Admin, slaved: Observer | undefined): LagSource {
  return {
    read: () => readDatabase(admin, slaved),
    async close() {
      await slaved?.close();
      await admin.close();
    },
  };
}

async function readDatabase(
  admin: Admin,
  slaved: Observer | undefined,
): Promise<LagReport> {
  const { horizon, instances } = await admin.positions();
  const projections = await admin.projections();
  const end = instances.reduce(
    (last, { position }) => position > last ? position : last,
    horizon,
  );
  const lags = new Map(
    slaved?.stats.lag.map((lag) => [lag.instance, lag]),
  );
  return {
    atMs: new Date().getTime(),
    horizon,
    end,
    instances: instances.map(({ name, position, lease }) => {
      const lag = lags.get(name);
      return {
        name,
        position,
        toEnd: end - position,
        lease,
        announced: lag?.announced ?? null,
        reached: lag?.reached ?? null,
        tokens: lag?.tokens ?? null,
        seconds: lag?.seconds ?? null,
      };
    }),
    projections: projections.map(({ name, position, parked }) => ({
      name,
      position: position ?? null,
      tokens: position === undefined ? 0 : Math.max(0, horizon - position),
      parked,
    })),
    connections: slaved?.stats.connections ?? null,
  };
}

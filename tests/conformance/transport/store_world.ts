// A writer and readers, which a transport is to connect.

import type { Test } from "tap";
import { SlavedStore, WriterStore } from "../../../mod.ts";
import { temporaryDatabase } from "../../support/folders.ts";
import type { TestDatabase } from "../../support/stores.ts";
import { KINDS, type Place } from "./transports.ts";

/** A database, and a place for its writer. */
export interface World {
  readonly database: string;
  readonly place: Place;
  open(): Promise<WriterStore<TestDatabase>>;
  connect(
    writer: WriterStore<TestDatabase>,
    serverName?: string,
  ): Promise<SlavedStore<TestDatabase>>;
}

/** One of a case's own, over a kind of transport. */
export async function openWorld(t: Test, kind: string): Promise<World> {
  const place = await KINDS[kind]?.place(t);
  if (place === undefined) throw new TypeError(kind);
  const database = temporaryDatabase(t);
  let listen = place.listen;
  return {
    database,
    place,
    async open() {
      const writer = await WriterStore.open<TestDatabase>({
        database,
        listen,
        tls: place.tls,
      });
      t.teardown(() => writer.close());
      // The next one listens where readers look for it.
      if (kind !== "port") listen = String(writer.url);
      return writer;
    },
    async connect(writer, serverName) {
      const slaved = await SlavedStore.connect<TestDatabase>({
        database,
        replicate: place.connect(String(writer.url)),
        tls: place.tls,
        serverName,
        minBackoffMs: 5,
        maxBackoffMs: 20,
        pollIntervalMs: 0,
        connectTimeoutMs: serverName === "another" ? 300 : 10_000,
      });
      t.teardown(() => slaved.close());
      return slaved;
    },
  };
}

/** What is asked of them. */
export type StoreCase = (t: Test, world: World) => Promise<void>;

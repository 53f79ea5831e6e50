// A writer store in memory, open for as long as a test runs.

import type { Test } from "tap";
import { WriterStore, type WriterStoreOptions } from "../../../mod.ts";
import type { TestDatabase } from "../../support/stores.ts";

/** Opens one that listens for clients. */
export async function openInMemory(
  t: Test,
  options: Partial<WriterStoreOptions> = {},
): Promise<WriterStore<TestDatabase>> {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    listen: "tcp://127.0.0.1:0",
    ...options,
  });
  t.teardown(() => writer.close());
  return writer;
}

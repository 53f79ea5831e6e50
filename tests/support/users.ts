// Stores on the table of users, open for as long as a test runs.

import type { Test } from "tap";
import {
  SlavedStore,
  type SlavedStoreOptions,
  WriterStore,
  type WriterStoreOptions,
} from "../../mod.ts";
import { createUsers, type TestDatabase } from "./stores.ts";

/** Opens a writer store, and makes the table. */
export async function openUsers(
  t: Test,
  options: WriterStoreOptions,
): Promise<WriterStore<TestDatabase>> {
  const writer = await WriterStore.open<TestDatabase>(options);
  t.teardown(() => writer.close());
  await createUsers(writer);
  return writer;
}

/** Connects a slaved store to a writer store, or to the server that it publishes on. */
export async function connectUsers(
  t: Test,
  { url }: { readonly url: string | undefined },
  options: Omit<SlavedStoreOptions, "replicate">,
): Promise<SlavedStore<TestDatabase>> {
  const replicate = String(url);
  const slaved = await SlavedStore.connect<TestDatabase>({
    ...options,
    replicate,
  });
  t.teardown(() => slaved.close());
  return slaved;
}

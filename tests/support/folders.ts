// Temporary folders that go with the test that asked for them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

/** A new folder. */
export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "headwater-test-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The URL of an SQLite file that isn't there yet, in a new folder. */
export function temporaryDatabase(t: Test): string {
  return `sqlite:${join(temporaryFolder(t), "test.db")}`;
}

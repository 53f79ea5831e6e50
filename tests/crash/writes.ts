// What the killed writer writes: the tests that read it know it from here.

import { z } from "zod";
import { defineStream, type Stream } from "../../mod.ts";
import type { TestUser } from "../support/stores.ts";

/** Users that are written, round and round. */
export const KEYS = 50;

/** Two rows a transaction: the version, and its negative. */
export const writes: Stream<{ id: string; version: number }> = defineStream(
  "writes",
  z.object({ id: z.string(), version: z.int() }),
);

/** A user, as one version has it. */
export function userOf(id: string, version: number): TestUser {
  return { id, name: `name ${version}`, version };
}

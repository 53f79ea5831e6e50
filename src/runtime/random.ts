/**
 * Chance, handed in so that tests can hold it.
 *
 * @module
 */

import { randomBytes, randomUUID } from "node:crypto";

/** A source of chance. */
export interface Random {
  /** A number from 0 up to, but not including, 1. */
  fraction(): number;
  /** 64 random bits as 16 hexadecimal digits. */
  id(): string;
  /** A random UUID. */
  uuid(): string;
}

const ID_BYTES = 8;
const POOL_IDS = 512;

/** The machine's own chance. Ids are drawn from a pool, as a draw of its own costs 1 µs. */
export const systemRandom: Random = createSystemRandom();

function createSystemRandom(): Random {
  let pool = "";
  let used = 0;
  return {
    fraction: () => Math.random(),
    uuid: () => randomUUID(),
    id() {
      if (used >= pool.length) {
        pool = randomBytes(ID_BYTES * POOL_IDS).toString("hex");
        used = 0;
      }
      const start = used;
      used += ID_BYTES * 2;
      return pool.slice(start, used);
    },
  };
}

// Lines that are right, and lines that are not: cut, spliced, changed, huge,
// or no text at all. And what says that they were read.

import { Buffer } from "node:buffer";
import { z } from "zod";
import {
  type CustomCommandType,
  defineCommand,
} from "../../src/protocol/mod.ts";
import type { SeededRandom } from "../../src/testing/mod.ts";

/** What is sent after each burst, and comes back once all before it was read. */
export const mark: CustomCommandType<number> = defineCommand("MARK", z.int());

/** Bytes of the longest line that the fuzzed stores take. */
export const MAX_LINE_BYTES = 16_384;

/** What the fuzzed process is. */
export interface FuzzedTask {
  readonly end: "follower" | "writer";
  readonly database: string;
  /** The follower: where the one is that it takes for a writer. */
  readonly replicate?: string | undefined;
}

/** What the fuzzed process says. */
export interface FuzzedSays {
  /** Where its writer listens. */
  readonly url?: string;
  /** Bytes that are in use, once there is nothing left to collect. */
  readonly heapBytes?: number;
  readonly rssBytes?: number;
  /** It has read its own write, after all. */
  readonly isRight?: boolean;
}

const LINES_OF_BURST = 400;
const INSTANCES = ["other", "worker-1", "é"] as const;
const STREAMS = ["events", "notes", "caches2", "typing"] as const;

/** Makes bursts of lines for one end. */
export class Fuzzer {
  /** Lines made so far, the marks left out. */
  lines = 0;
  readonly #random: SeededRandom;
  readonly #end: FuzzedTask["end"];
  #token = 1;
  #mark = 0;

  constructor(end: FuzzedTask["end"], random: SeededRandom) {
    this.#end = end;
    this.#random = random;
  }

  /** The next burst: many lines that are right, one that may not be, and a mark. */
  burst(): { readonly bytes: Buffer; readonly answer: string } {
    const count = 1 + this.#random.below(2 * LINES_OF_BURST);
    let text = "";
    for (let line = 0; line < count; line += 1) text += `${this.#right()}\n`;
    this.lines += count + 1;
    this.#mark += 1;
    const end = `COMMANDS fuzz ["MARK"]\n`;
    const last = `${this.#end === "writer" ? end : ""}` +
      `X_MARK fuzz * ${this.#mark}\n`;
    return {
      bytes: Buffer.concat([
        Buffer.from(text),
        this.#wrong(),
        Buffer.from(`\n${last}`),
      ]),
      // Who it is from, and for whom, is the store's affair.
      answer: ` ${this.#mark}\n`,
    };
  }

  #right(): string {
    return this.#end === "follower" ? this.#toFollower() : this.#toWriter();
  }

  #toFollower(): string {
    const random = this.#random;
    const key = `["getUserById",["user${random.below(1_000)}"],1700000000000]`;
    switch (random.below(12)) {
      case 0:
        return `RDATA caches master batch ${key}`;
      case 1:
        return `RDATA caches master ${this.#token} ["countUsers",null,5]`;
      case 2:
        return `RDATA ${
          random.pick(STREAMS)
        } master ${this.#token} {"a":[1,2]}`;
      case 3:
        return `RDATA ${random.pick(STREAMS)} ${
          random.pick(INSTANCES)
        } batch 5`;
      case 4:
        return `POSITION caches master ${this.#token} ${this.#token}`;
      case 5:
        return `PING ${random.below(2 ** 31)}`;
      case 6:
        return `REMOTE_SERVER_UP host${random.below(100)}.example`;
      case 7:
        return `X_OTHER master * {"nobody":"takes it"}`;
      case 8:
        return `LOCK_RELEASED ["master","lock","key${random.below(100)}"]`;
      default:
        this.#token += 1;
        return `RDATA caches master ${this.#token} ${key}`;
    }
  }

  #toWriter(): string {
    const random = this.#random;
    const user = `@user${random.below(1_000)}:example.com`;
    const now = 1_700_000_000_000 + random.below(1_000);
    switch (random.below(9)) {
      case 0:
        return `USER_SYNC worker ${user} start ${now}`;
      case 1:
        return `USER_SYNC worker ${user} phone end ${now}`;
      case 2:
        return `CLEAR_USER_SYNC worker${random.below(10)}`;
      case 3:
        return `FEDERATION_ACK master ${random.below(1_000)}`;
      case 4:
        return `REMOTE_SERVER_UP host${random.below(100)}.example`;
      case 5:
        return `USER_IP ${user} ["token","127.0.0.1","agent","phone",${now}]`;
      case 6:
        return `LOCK_RELEASED ["worker","lock","key"]`;
      case 7:
        return random.chance(0.02) ? "REPLICATE" : `NAME ${random.id()}`;
      default:
        return `PING ${now}`;
    }
  }

  #wrong(): Buffer {
    const random = this.#random;
    const line = this.#right();
    const other = this.#right();
    switch (random.below(7)) {
      case 0:
        return Buffer.from(line.slice(0, random.below(line.length)));
      case 1:
        return Buffer.from(
          line.slice(0, random.below(line.length)) +
            other.slice(random.below(other.length)),
        );
      case 2: {
        const bytes = Buffer.from(line);
        bytes[random.below(bytes.length)] = random.below(256);
        return bytes;
      }
      case 3:
        return Buffer.from(
          `${line} ${"x".repeat(random.below(2 * MAX_LINE_BYTES))}`,
        );
      case 4:
        return Buffer.from(
          Array.from({ length: random.below(200) }, () => random.below(256)),
        );
      case 5:
        // What the other end says.
        return Buffer.from(
          this.#end === "follower" ? this.#toWriter() : this.#toFollower(),
        );
      default: {
        const at = random.below(line.length);
        const junk = random.pick(["\0", " ", "[", '"', "\r", "\u2028", "-1"]);
        return Buffer.from(line.slice(0, at) + junk + line.slice(at));
      }
    }
  }
}

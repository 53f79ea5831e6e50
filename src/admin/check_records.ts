/**
 * Checking records by themselves, and those of a transaction beside each other.
 *
 * @module
 */

import { NO_STREAM, ROW_SEPARATOR } from "../log/log_schema.ts";
import { toRows } from "../protocol/logged_rows.ts";
import { messageOf, quote } from "../runtime/errors.ts";
import type { RawRecord } from "./log_pages.ts";
import type { ProblemList } from "./problems.ts";
import type { Reserved } from "./reserved.ts";

// encodeJson() leaves no control character but DEL, and nothing beyond ASCII.
const LINE = /^[\x20-\x7f]+$/;

/** Checks records in the order of the log. */
export class RecordChecks {
  readonly #problems: ProblemList;
  readonly #reserved: Reserved;
  readonly #lastTokens = new Map<string, number>();
  #first: RawRecord | undefined;
  #last: RawRecord | undefined;
  #previousCommitId: string | undefined;
  #transactions = 0;
  #records = 0;

  /** Constructs one that has seen none. */
  constructor(problems: ProblemList, reserved: Reserved) {
    this.#problems = problems;
    this.#reserved = reserved;
  }

  /** Records so far. */
  get records(): number {
    return this.#records;
  }

  /** Transactions so far. */
  get transactions(): number {
    return this.#transactions;
  }

  /** The last token of each instance. */
  get lastTokens(): ReadonlyMap<string, number> {
    return this.#lastTokens;
  }

  /**
   * Checks the next record.
   *
   * @returns Its rows, parsed; `undefined` if any of them is not sound.
   */
  check(record: RawRecord): unknown[] | undefined {
    this.#records += 1;
    this.#checkOrder(record);
    if (record.token === this.#first?.token) this.#checkBeside(record);
    else this.#begin(record);
    this.#last = record;
    return this.#checkRows(record);
  }

  #checkOrder({ token, stream }: RawRecord): void {
    const last = this.#last;
    if (last === undefined) return;
    if (token < last.token) {
      this.#add("tokens", token, `it comes after token ${last.token}`);
    } else if (token === last.token && stream === last.stream) {
      this.#add("tokens", token, `stream ${quote(stream)} has two records`);
    }
  }

  #begin(record: RawRecord): void {
    const { token, instance, commitId } = record;
    this.#previousCommitId = this.#first?.commitId;
    this.#first = record;
    this.#transactions += 1;
    this.#lastTokens.set(instance, token);
    const problem = this.#reserved.findProblem(token, instance);
    if (problem !== undefined) this.#add("tokens", token, problem);
    if (commitId === "") {
      this.#add("transactions", token, "its commit id is empty");
    } else if (commitId === this.#previousCommitId) {
      this.#add(
        "torn",
        token,
        "its commit id is that of the token before: one transaction has two tokens",
      );
    }
  }

  #checkBeside(record: RawRecord): void {
    const first = this.#first as RawRecord;
    const { token, stream } = record;
    const differ = (what: string, one: unknown, other: unknown) => {
      if (one === other) return;
      this.#add(
        "transactions",
        token,
        `stream ${quote(stream)} has ${what} ${quote(String(other))}, and ` +
          `stream ${quote(first.stream)} ${quote(String(one))}`,
      );
    };
    differ("instance", first.instance, record.instance);
    differ("commit id", first.commitId, record.commitId);
    differ("time", first.committedMs, record.committedMs);
    // It is the first in order, as no name is shorter.
    if (first.stream === NO_STREAM) {
      this.#add(
        "torn",
        token,
        `it is one without rows, and has some of stream ${quote(stream)}`,
      );
    }
  }

  #checkRows(
    { token, stream, rowCount, body }: RawRecord,
  ): unknown[] | undefined {
    if (stream === NO_STREAM) {
      if (rowCount !== 0 || body !== "") {
        this.#add("torn", token, "it is one without rows, and has some");
      }
      return [];
    }
    const lines = toRows(stream, body.split(ROW_SEPARATOR));
    const rows: unknown[] = [];
    let isSound = lines.length === rowCount;
    if (!isSound) {
      this.#add(
        "rows",
        token,
        `stream ${
          quote(stream)
        } should have ${rowCount} rows, and has ${lines.length}`,
      );
    }
    for (const [index, line] of lines.entries()) {
      const problem = parseRow(line, rows);
      if (problem === undefined) continue;
      isSound = false;
      this.#add(
        "rows",
        token,
        `row ${index + 1} of stream ${quote(stream)} ${problem}`,
      );
    }
    return isSound ? rows : undefined;
  }

  #add(
    check: "tokens" | "transactions" | "torn" | "rows",
    token: number,
    what: string,
  ): void {
    this.#problems.add(check, token, `token ${token}: ${what}`);
  }
}

function parseRow(line: string, rows: unknown[]): string | undefined {
  try {
    rows.push(JSON.parse(line));
  } catch (error) {
    return `is no JSON: ${messageOf(error).replace(/\s+/g, " ")}`;
  }
  return LINE.test(line) ? undefined : "is not one line of ASCII";
}

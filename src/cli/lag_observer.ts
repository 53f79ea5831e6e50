/**
 * How far writers are, for an observer without their database.
 *
 * @module
 */

import { HeadwaterError, type Token } from "../../mod.ts";
import { follow, type TlsOptions } from "../slaved/mod.ts";
import type { InstanceLagReport, LagReport, LagSource } from "./lag_report.ts";

/** How long to try for a first connection, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** What an instance has told. */
interface Told {
  announced: Token;
  /** Everything up to there has come whole. */
  reached: Token;
  /** When there was first something that had not. */
  sinceMs: number | undefined;
}

/**
 * Follows writers, and resolves once one of them has told where it is.
 *
 * @throws {HeadwaterError} `CONNECT_TIMEOUT`; `INVALID_ARGUMENT` for an address
 *   that can't be.
 */
export async function observeWriters(
  replicate: readonly string[],
  tls: TlsOptions,
): Promise<LagSource> {
  const observer = new Observer();
  const following = follow({
    replicate,
    tls,
    name: "headwater lag",
    onBatch: ({ instance, token }) => observer.batch(instance, token),
    onPosition: ({ instance, token }) => observer.position(instance, token),
  });
  if (!await observer.hasHeard(CONNECT_TIMEOUT_MS)) {
    await following.close();
    throw new HeadwaterError(
      "CONNECT_TIMEOUT",
      `Cannot tell the lag of ${
        replicate.join(", ")
      }: no writer told where it ` +
        `is within ${CONNECT_TIMEOUT_MS} ms; check that one listens there`,
    );
  }
  return {
    read: () => Promise.resolve(observer.report(following.connections)),
    close: () => following.close(),
  };
}

/** Remembers what was told. */
class Observer {
  readonly #told = new Map<string, Told>();
  #heard: (() => void) | undefined;

  /** Rows have come; more of the same token may follow. */
  batch(instance: string, token: Token): void {
    const told = this.#told.get(instance);
    if (told === undefined || token <= told.announced) return;
    told.reached = told.announced;
    told.announced = token;
    told.sinceMs ??= new Date().getTime();
  }

  /** Everything up to a token has come. */
  position(instance: string, token: Token): void {
    this.#told.set(instance, {
      announced: token,
      reached: token,
      sinceMs: undefined,
    });
    this.#heard?.();
  }

  /** Whether a writer told where it is, by a deadline. */
  async hasHeard(timeoutMs: number): Promise<boolean> {
    let timer;
    const isHeard = await new Promise<boolean>((resolve) => {
      this.#heard = () => resolve(true);
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    clearTimeout(timer);
    return isHeard;
  }

  report(connections: number): LagReport {
    const atMs = new Date().getTime();
    const names = [...this.#told.keys()].sort();
    return {
      atMs,
      horizon: null,
      end: null,
      instances: names.map((name) => this.#instance(name, atMs)),
      projections: [],
      connections,
    };
  }

  #instance(name: string, atMs: number): InstanceLagReport {
    const { announced, reached, sinceMs = atMs } = this.#told.get(name) as Told;
    return {
      name,
      position: null,
      toEnd: null,
      lease: null,
      announced,
      reached,
      tokens: announced - reached,
      seconds: Math.max(0, atMs - sinceMs) / 1_000,
    };
  }
}

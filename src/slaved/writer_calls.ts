/**
 * Asking writers over HTTP: for what was missed, and to have something done.
 *
 * @module
 */

import { fetchUpdates } from "../http/fetch_updates.ts";
import { HttpClient } from "../http/http_client.ts";
import { type CallReply, requireCallId } from "../http/call_wire.ts";
import { sendCall } from "../http/send_call.ts";
import type { FetchUpdates } from "../replication/ephemeral_follower.ts";
import { requireTimeout } from "../runtime/bounds.ts";
import type { Clock } from "../runtime/clock.ts";
import { assert, HeadwaterError, quote } from "../runtime/errors.ts";
import { encodeJson, requireJson } from "../runtime/json.ts";
import { CALL_TIMEOUT_MS } from "../runtime/limits.ts";
import { type OptionNames, requireNames } from "../runtime/option_names.ts";
import type { Random } from "../runtime/random.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import { isName } from "../streams/stream.ts";
import type { WireNames } from "../streams/wire_names.ts";
import type { Token } from "../tokens/token.ts";
import type { TlsOptions } from "../transport/transport.ts";

/** Options of `SlavedStore.connect` for what is asked over HTTP. */
export interface WriterHttpOptions {
  /**
   * Where writers take requests: `http://HOST:PORT` or `https://HOST:PORT`; where
   * several write, by instance: `{ master: "http://…", other: "http://…" }`.
   * Without it nothing can be called, and rows of ephemeral streams that were
   * missed can't be had.
   *
   * @default {nowhere}
   */
  readonly http?: string | Readonly<Record<string, string>> | undefined;

  /** The writers' `httpSecret`. */
  readonly httpSecret?: string | undefined;
}

/** Options of `slaved.call`. The time that it may take is 30,000 ms by default. */
export interface CallOptions extends WaitOptions {
  /**
   * Whom to call, where several write.
   *
   * @default {"master", or the only one}
   */
  readonly instance?: string | undefined;

  /**
   * Stands for this call, which is executed once however often it is sent: 16 to
   * 64 letters, digits, `-` or `_`. For those who go on after `CALL_TIMEOUT`.
   *
   * @default {random}
   */
  readonly id?: string | undefined;

  /**
   * Whether to wait until this process has applied what the call has changed.
   *
   * @default {true}
   */
  readonly wait?: boolean | undefined;
}

/** The names of {@linkcode CallOptions}. */
export const CALL_OPTIONS: OptionNames<CallOptions> = {
  instance: true,
  id: true,
  wait: true,
  signal: true,
  timeoutMs: true,
};

/** What a call has led to; `waitFor` takes it in any process. */
export interface CallResult<Result> {
  /** What the handler returned. */
  readonly result: Result;
  /** Who executed it. */
  readonly instance: string;
  /** The token of what it has changed. */
  readonly token: Token;
  /** As of a commit; `undefined` if a writer of an older release executed it. */
  readonly holder?: string | undefined;
}

/** What {@linkcode WriterCalls} works with. */
export interface WriterCallsOptions extends WriterHttpOptions {
  /** For `https:`: whom to trust, and what to show. */
  readonly tls?: TlsOptions | undefined;
  readonly wireNames: WireNames;
  readonly clock: Clock;
  readonly random: Random;
}

const ANY = "";

/** Keeps a client for each writer. */
export class WriterCalls {
  readonly #options: WriterCallsOptions;
  /** By instance; under `""` the one that stands for whoever it is. */
  readonly #clients: ReadonlyMap<string, HttpClient>;
  readonly #closing = new AbortController();

  /**
   * Constructs one that is not connected.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` if an address can't be one.
   */
  constructor(options: WriterCallsOptions) {
    this.#options = options;
    const { http = {}, httpSecret: secret, tls, clock } = options;
    const urls = typeof http === "string" ? { [ANY]: http } : http;
    this.#clients = new Map(
      Object.entries(urls).map(([instance, url]) => [
        instance,
        new HttpClient({ url, secret, tls, clock }),
      ]),
    );
  }

  /** Whether an instance's address is known. */
  readonly canAsk = (instance: string): boolean =>
    this.#clientFor(instance) !== undefined;

  /** Asks an instance for rows of an ephemeral stream. */
  readonly fetchUpdates: FetchUpdates = async (
    stream,
    instance,
    after,
    upTo,
    signal,
  ) => {
    const { wireNames, random } = this.#options;
    const client = this.#clientFor(instance);
    assert(client !== undefined, `an address of instance "${instance}"`);
    return await fetchUpdates(client, {
      stream: wireNames.toWire(stream),
      instance,
      after,
      upTo,
      id: random.id(),
      signal,
    });
  };

  /** Has a writer execute something; see `SlavedStore.call`. */
  async call(
    name: string,
    args: unknown,
    options: CallOptions,
  ): Promise<CallReply> {
    if (!isName(name)) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot call ${
          quote(String(name))
        }: it is no name; give the one that ` +
          "the writer exposes",
      );
    }
    requireNames(`call ${quote(name)}`, CALL_OPTIONS, options);
    const { clock, random } = this.#options;
    const { signal, timeoutMs = CALL_TIMEOUT_MS } = options;
    requireTimeout(`call ${quote(name)}`, timeoutMs);
    const client = this.#clientOf(name, options.instance);
    const given = args === undefined ? null : args;
    requireJson(given, `arguments of call "${name}"`);
    const closing = this.#closing.signal;
    const { id = random.uuid() } = options;
    requireCallId(name, id);
    return await sendCall({ client, clock, random }, {
      name,
      id,
      body: encodeJson({ args: given }),
      timeoutMs,
      signal: signal === undefined
        ? closing
        : AbortSignal.any([signal, closing]),
    });
  }

  /** Ends every call with an error. */
  close(reason: HeadwaterError): void {
    this.#closing.abort(reason);
    for (const client of this.#clients.values()) client.close();
  }

  #clientFor(instance: string): HttpClient | undefined {
    return this.#clients.get(instance) ?? this.#clients.get(ANY);
  }

  #clientOf(name: string, instance: string | undefined): HttpClient {
    const all = this.#clients;
    const only = all.size === 1 ? [...all.values()][0] : undefined;
    const found = instance === undefined
      ? all.get(ANY) ?? all.get("master") ?? only
      : all.get(instance) ?? all.get(ANY);
    if (found !== undefined) return found;
    const known = [...all.keys()].filter((each) => each !== ANY);
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot call "${name}": no HTTP address of ` +
        `${
          instance === undefined ? "a writer" : `instance "${instance}"`
        } is ` +
        `given (${
          known.length === 0 ? "none is" : `known are ${known.join(", ")}`
        }); give it in the option "http"`,
    );
  }
}

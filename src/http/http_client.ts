/**
 * Requests to a writer, on either runtime.
 *
 * @module
 */

import type { Agent, IncomingMessage } from "node:http";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError } from "../runtime/errors.ts";
import { MAX_BODY_BYTES } from "../runtime/limits.ts";
import { type HttpModule, loadHttp } from "../runtime/load_http.ts";
import { readKeys } from "../transport/tls_keys.ts";
import type { TlsOptions } from "../transport/transport.ts";
import { formatHttpAddress, parseHttpAddress } from "./http_address.ts";

/** What a client works with. */
export interface HttpClientOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly url: string;
  /** Sent as `Authorization: Bearer`. */
  readonly secret?: string | undefined;
  /** For `https:`: whom to trust, and what to show. */
  readonly tls?: TlsOptions | undefined;
  readonly clock: Clock;
}

/** One request. */
export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** From `/` on. */
  readonly path: string;
  /** JSON. */
  readonly body?: string | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
  /** The longest wait for the whole answer, in ms. */
  readonly timeoutMs: number;
}

/** An answer, whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly text: string;
}

/** Keeps connections to one address. */
export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #http: HttpModule;
  readonly #agent: Agent;
  /** Said of each request, too: Deno's agents don't know it. */
  readonly #keys: object;
  /** The address, for messages. */
  readonly url: string;

  /**
   * Constructs one that is not connected.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for an address or keys that can't be.
   */
  constructor(options: HttpClientOptions) {
    const address = parseHttpAddress(options.url);
    this.#options = options;
    this.url = formatHttpAddress(address);
    const isTls = address.scheme === "https";
    this.#keys = isTls ? keysOf(this.url, options.tls ?? {}) : {};
    this.#http = loadHttp(isTls);
    this.#agent = new this.#http.Agent({ keepAlive: true, ...this.#keys });
  }

  /**
   * Asks, and waits for the whole answer.
   *
   * @throws What went wrong with the connection; it may have been asked all the same.
   * @throws The signal's reason, once it is aborted.
   */
  send({ method, path, body, signal, timeoutMs }: HttpRequest): Promise<
    HttpAnswer
  > {
    const { secret, clock } = this.#options;
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const sent = this.#http.request(`${this.url}${path}`, {
        method,
        agent: this.#agent,
        ...this.#keys,
        headers: {
          ...(secret === undefined
            ? {}
            : { authorization: `Bearer ${secret}` }),
          ...(body === undefined ? {} : {
            "content-type": "application/json",
            "content-length": String(new TextEncoder().encode(body).length),
          }),
        },
      });
      const end = () => {
        cancel();
        signal?.removeEventListener("abort", abort);
      };
      const fail = (reason: unknown) => {
        end();
        reject(reason);
        sent.destroy();
      };
      const abort = () => fail(signal?.reason);
      const cancel = clock.schedule(
        () => fail(unanswered(`no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      signal?.addEventListener("abort", abort);
      // After it has failed, too: destroying it may say so once more.
      sent.on("error", fail);
      sent.on("response", (response) => {
        readAll(response).then((text) => {
          end();
          resolve({
            status: response.statusCode ?? 0,
            header: (name) => response.headers[name]?.toString(),
            text,
          });
        }, fail);
      });
      sent.end(body);
    });
  }

  /** Ends every connection. */
  close(): void {
    this.#agent.destroy();
  }
}

/** What is not given is left out: it would stand for itself. */
function keysOf(url: string, tls: TlsOptions): object {
  const { passphrase, servername } = tls;
  const given = { ...readKeys(url, tls), passphrase, servername };
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
}

function readAll(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      text += chunk;
      if (text.length <= MAX_BODY_BYTES) return;
      reject(unanswered(`the answer has more than ${MAX_BODY_BYTES} bytes`));
    });
    response.on("end", () => {
      if (response.complete) resolve(text);
      else reject(unanswered("the connection was lost within the answer"));
    });
    response.on("error", reject);
    response.on("aborted", () => reject(unanswered("the connection was lost")));
    response.on("close", () => reject(unanswered("the connection was lost")));
  });
}

function unanswered(reason: string): HeadwaterError {
  return new HeadwaterError("CALL_FAILED", reason);
}

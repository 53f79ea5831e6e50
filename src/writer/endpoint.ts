/**
 * A writer store's HTTP endpoint.
 *
 * @module
 */

import { parseHttpAddress, requireGuards } from "../http/http_address.ts";
import {
  type FetchHandler,
  type HttpServer,
  listenHttp,
} from "../http/listen_http.ts";
import type { ReplicationAppOptions } from "../http/replication_app.ts";
import type { ListenOptions } from "../transport/listen_address.ts";
import type { EndpointOptions } from "./endpoint_options.ts";

/** What an endpoint works with. */
export interface WriterEndpointOptions
  extends Pick<ReplicationAppOptions, "source" | "call" | "clock" | "logger"> {
  readonly endpoint: EndpointOptions & ListenOptions;
}

/** Answers requests, on an address of its own or on somebody else's server. */
export class WriterEndpoint {
  /** Answers a request. */
  readonly fetch: (request: Request) => Promise<Response>;
  readonly #endpoint: EndpointOptions & ListenOptions;
  #server: HttpServer | undefined;

  /** Constructs one that doesn't listen. */
  constructor({ endpoint, ...app }: WriterEndpointOptions) {
    this.#endpoint = endpoint;
    const { httpSecret: secret, maxBodyBytes, requestTimeoutMs } = endpoint;
    const bounds = { secret, maxBodyBytes, requestTimeoutMs };
    let made: Promise<FetchHandler> | undefined;
    this.fetch = async (request) => {
      made ??= loadApp({ ...app, ...bounds });
      return await (await made)(request);
    };
  }

  /**
   * Refuses an address that can't be, or that would let strangers in.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT`.
   */
  static check(
    { http, httpSecret: secret, ...guards }: EndpointOptions & ListenOptions,
  ): void {
    if (http === undefined) return;
    requireGuards(parseHttpAddress(http), { ...guards, secret });
  }

  /** Where it listens; `undefined` if nowhere. */
  get url(): string | undefined {
    return this.#server?.url;
  }

  /** Listens, if it has an address. */
  async listen(): Promise<void> {
    const { http, httpSecret, tls, allowPlaintext, requestTimeoutMs } =
      this.#endpoint;
    if (http === undefined) return;
    this.#server = await listenHttp(this.fetch, {
      url: http,
      secret: httpSecret,
      tls,
      allowPlaintext,
      requestTimeoutMs,
    });
  }

  /** Takes no more requests. */
  async close(): Promise<void> {
    await this.#server?.close();
  }
}

/** Loaded by whoever is asked: most processes never are, and all of them start. */
async function loadApp(options: ReplicationAppOptions): Promise<FetchHandler> {
  const app = await import("../http/replication_app.ts");
  return app.createReplicationApp(options).fetch;
}

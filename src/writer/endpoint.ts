/**
 * A writer store's HTTP endpoint.
 *
 * @module
 */

import { type HttpServer, listenHttp } from "../http/listen_http.ts";
import {
  createReplicationApp,
  type ReplicationAppOptions,
} from "../http/replication_app.ts";
import type { EndpointOptions } from "./endpoint_options.ts";

/** What an endpoint works with. */
export interface WriterEndpointOptions
  extends Pick<ReplicationAppOptions, "source" | "call" | "clock" | "logger"> {
  readonly endpoint: EndpointOptions;
}

/** Answers requests, on an address of its own or on somebody else's server. */
export class WriterEndpoint {
  /** Answers a request. */
  readonly fetch: (request: Request) => Promise<Response>;
  readonly #endpoint: EndpointOptions;
  #server: HttpServer | undefined;

  /** Constructs one that doesn't listen. */
  constructor({ endpoint, ...app }: WriterEndpointOptions) {
    this.#endpoint = endpoint;
    const { httpSecret: secret, maxBodyBytes, requestTimeoutMs } = endpoint;
    const { fetch } = createReplicationApp({
      ...app,
      secret,
      maxBodyBytes,
      requestTimeoutMs,
    });
    this.fetch = async (request) => await fetch(request);
  }

  /** Where it listens; `undefined` if nowhere. */
  get url(): string | undefined {
    return this.#server?.url;
  }

  /** Listens, if it has an address. */
  async listen(): Promise<void> {
    const { http, httpSecret, httpTls, allowInsecureHttp } = this.#endpoint;
    const { requestTimeoutMs } = this.#endpoint;
    if (http === undefined) return;
    this.#server = await listenHttp(this.fetch, {
      url: http,
      secret: httpSecret,
      tls: httpTls,
      allowInsecure: allowInsecureHttp,
      requestTimeoutMs,
    });
  }

  /** Takes no more requests. */
  async close(): Promise<void> {
    await this.#server?.close();
  }
}

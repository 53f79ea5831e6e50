/**
 * Serving requests on either runtime: for those who put a server around a
 * writer store's own endpoint.
 *
 * @module
 */

export { isAuthorized } from "./bearer.ts";
export type { HttpGuards } from "./http_address.ts";
export { listenHttp } from "./listen_http.ts";
export type {
  FetchHandler,
  HttpServer,
  ListenHttpOptions,
} from "./listen_http.ts";
export type { TlsOptions } from "../transport/transport.ts";

/**
 * The modules of requests, for those who make or take any.
 *
 * @module
 */

import process from "node:process";

/** What `node:http` and `node:https` both have. */
export type HttpModule =
  | typeof import("node:http")
  | typeof import("node:https");

/** Loads one. Imported, they take a tenth of the time of every process's start. */
export function loadHttp(isTls: boolean): HttpModule {
  return process.getBuiltinModule(isTls ? "node:https" : "node:http");
}

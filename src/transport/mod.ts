/**
 * What carries lines between processes: to be implemented by those who have a
 * way of their own, and by simulations.
 *
 * @module
 */

export { LineError, LineSplitter } from "./line_splitter.ts";
export type {
  AcceptConnection,
  Connection,
  ConnectionHandler,
  Listener,
  Transport,
  TransportOptions,
} from "./transport.ts";

/**
 * What goes wrong between one side that speaks TLS and one that doesn't.
 *
 * @module
 */

import type { Buffer } from "node:buffer";

/** OpenSSL's words, and those of rustls, for what is no TLS. */
const NO_TLS =
  /wrong version number|packet length too long|http request|InvalidContentType/i;

const SCHEMES = "give both sides the same scheme, tls:// or tcp://";

/** What to say of the other side of a handshake. */
export const SPEAKS_PLAINLY = `the other side does not speak TLS; ${SCHEMES}`;

/** What to say of the other side where no handshake was expected. */
export const SPEAKS_TLS = `the other side speaks TLS; ${SCHEMES}`;

/** Whether a handshake failed because the other side does not speak TLS. */
export function isPlain(message: string): boolean {
  return NO_TLS.test(message);
}

const ALERT = 0x15;
const HANDSHAKE = 0x16;
const MAJOR_VERSION = 0x03;

/** Whether bytes that a connection begins with are TLS: no line begins so. */
export function isTls(bytes: Buffer): boolean {
  return (bytes[0] === HANDSHAKE || bytes[0] === ALERT) &&
    bytes[1] === MAJOR_VERSION;
}

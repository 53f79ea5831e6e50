/**
 * Why a connection does not come about, for whoever waits for it.
 *
 * @module
 */

import { messageOf } from "../runtime/errors.ts";
import type { Transport } from "../transport/transport.ts";

/** A transport, and why it could not connect the last time; empty if it could. */
export interface RememberingTransport extends Transport {
  readonly lastFailure: string;
}

/** Notes why attempts to connect fail. */
export function rememberFailure(transport: Transport): RememberingTransport {
  let lastFailure = "";
  return {
    get lastFailure() {
      return lastFailure;
    },
    listen: (accept) => transport.listen(accept),
    async connect(accept, signal) {
      try {
        const connection = await transport.connect(accept, signal);
        lastFailure = "";
        return connection;
      } catch (error) {
        lastFailure = messageOf(error);
        throw error;
      }
    },
  };
}

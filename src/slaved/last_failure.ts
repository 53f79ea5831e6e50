/**
 * Why a connection does not come about, for whoever waits for it.
 *
 * @module
 */

import { messageOf } from "../runtime/errors.ts";
import type { Transport } from "../transport/transport.ts";

/** A transport, and what became of its last connection that did not last. */
export interface RememberingTransport extends Transport {
  /** What keeps its connections from coming about: `nobody answers at …`. */
  describeFailure(name: string): string;
  /** Notes why one that was made was given up. */
  readonly givenUp: (error: unknown) => void;
}

/** Notes why attempts to connect fail. */
export function rememberFailure(transport: Transport): RememberingTransport {
  let unanswered = "";
  let refused = "";
  return {
    describeFailure(name) {
      return refused === ""
        ? `nobody answers at ${name}${unanswered}`
        : `who answers at ${name} is not the writer${refused}; check the ` +
          "address, and serverName if it is given";
    },
    givenUp(error) {
      refused = ` (${messageOf(error)})`;
    },
    listen: (accept) => transport.listen(accept),
    async connect(accept, signal) {
      try {
        const connection = await transport.connect(accept, signal);
        unanswered = "";
        return connection;
      } catch (error) {
        unanswered = ` (${messageOf(error)})`;
        refused = "";
        throw error;
      }
    },
  };
}

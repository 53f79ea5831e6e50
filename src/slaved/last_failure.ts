/**
 * Why a connection does not come about, for whoever waits for it.
 *
 * @module
 */

import { messageOf, quote } from "../runtime/errors.ts";
import { hideSecrets } from "../runtime/secrets.ts";
import type { Transport } from "../transport/transport.ts";

/** A transport, and what became of its last connection that did not last. */
export interface RememberingTransport extends Transport {
  /**
   * What is missing: `nobody answers at …`.
   *
   * @param name Where it connects to.
   * @param replica Where what it announces must be seen, if that is elsewhere.
   */
  describeFailure(name: string, replica: string | undefined): string;
  /** Notes why one that was made was given up. */
  readonly givenUp: (error: unknown) => void;
}

/** Notes why attempts to connect fail. */
export function rememberFailure(transport: Transport): RememberingTransport {
  let isConnected = false;
  let unanswered = "";
  let refused = "";
  return {
    describeFailure(name, replica) {
      if (refused !== "") {
        return `who answers at ${name} is not the writer${refused}; check the ` +
          "address, the database, and serverName if it is given";
      }
      if (!isConnected) return `nobody answers at ${name}${unanswered}`;
      const visible = replica === undefined
        ? ""
        : `, and that replica ${
          quote(hideSecrets(replica))
        } can be reached and ` +
          "follows the database";
      return `it is connected to ${name}, and no position of its could be ` +
        `adopted; check that a writer listens there${visible}`;
    },
    givenUp(error) {
      refused = ` (${messageOf(error)})`;
    },
    listen: (accept) => transport.listen(accept),
    async connect(accept, signal) {
      try {
        const connection = await transport.connect(accept, signal);
        isConnected = true;
        return connection;
      } catch (error) {
        unanswered = ` (${messageOf(error)})`;
        isConnected = false;
        refused = "";
        throw error;
      }
    },
  };
}

/**
 * The TLS handshakes of a listener that are under way.
 *
 * @module
 */

import type { Server, Socket } from "node:net";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { CONNECT_ATTEMPT_TIMEOUT_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { isPlain, SPEAKS_PLAINLY } from "./tls_errors.ts";

/** What {@linkcode TlsHandshakes} works with. */
export interface TlsHandshakesOptions {
  /** Connections at a time, handshakes among them. */
  readonly maxConnections: number;
  /** The other end of a socket: the same before and after its handshake. */
  readonly remoteOf: (socket: Socket) => string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type TlsError = Error & { readonly code?: string };

/** A handshake that is under way. */
interface Handshake {
  readonly socket: Socket;
  readonly cancel: CancelTimer;
}

/**
 * Counts a server's handshakes as connections, and ends those that take too
 * long: both runtimes tell of one that does, and leave its socket open.
 *
 * Where there is no room, one at a time is let through all the same, so that
 * whoever listens can say why it is turned away.
 */
export class TlsHandshakes {
  readonly #options: TlsHandshakesOptions;
  readonly #underWay = new Map<string, Handshake>();
  /** Sockets that are open, whatever became of their handshakes. */
  #sockets = 0;
  /** Of how many that were ended here the server has yet to say that they hung up. */
  #toHear = 0;

  /** Constructs one for a TLS server that doesn't listen yet. */
  constructor(server: Server, options: TlsHandshakesOptions) {
    this.#options = options;
    const { remoteOf } = options;
    server.on("connection", (socket: Socket) => this.#begin(socket));
    server.on("secureConnection", (socket: Socket) => {
      this.#finish(remoteOf(socket));
    });
    server.on("tlsClientError", (error: TlsError, socket: Socket) => {
      // Each that was ended here hangs up, too.
      if (error.code === "ECONNRESET" && this.#toHear > 0) {
        this.#toHear -= 1;
        return;
      }
      // A socket that has gone has no address any more.
      const isKnown = socket.remoteAddress !== undefined;
      const remote = isKnown ? remoteOf(socket) : "unknown";
      // OpenSSL's words name what is wrong, and nothing of the key.
      const words = error.message.trim();
      this.#tell(remote, isPlain(words) ? SPEAKS_PLAINLY : words);
      this.#finish(remote)?.destroy();
    });
  }

  /** Ends those that are under way: nobody is let in any more. */
  close(): void {
    for (const remote of [...this.#underWay.keys()]) {
      this.#end(remote);
    }
  }

  #begin(socket: Socket): void {
    const { clock, maxConnections, remoteOf } = this.#options;
    const remote = remoteOf(socket);
    const isFull = this.#sockets >= maxConnections && this.#underWay.size > 0;
    const cancel = clock.schedule(
      () =>
        this.#refuse(
          remote,
          `no handshake within ${CONNECT_ATTEMPT_TIMEOUT_MS} ms`,
        ),
      CONNECT_ATTEMPT_TIMEOUT_MS,
    );
    this.#sockets += 1;
    this.#underWay.set(remote, { socket, cancel });
    socket.on("close", () => {
      this.#sockets -= 1;
      if (this.#underWay.get(remote)?.socket === socket) this.#finish(remote);
    });
    if (isFull) this.#refuse(remote, `${maxConnections} are connected already`);
  }

  #finish(remote: string): Socket | undefined {
    const handshake = this.#underWay.get(remote);
    this.#underWay.delete(remote);
    handshake?.cancel();
    return handshake?.socket;
  }

  #refuse(remote: string, error: string): void {
    this.#tell(remote, error);
    this.#end(remote);
  }

  #tell(remote: string, error: string): void {
    const fields = { remote, error };
    this.#options.logger("warn", "a connection was refused by TLS", fields);
  }

  #end(remote: string): void {
    const socket = this.#finish(remote);
    if (socket === undefined) return;
    this.#toHear += 1;
    socket.destroy();
  }
}

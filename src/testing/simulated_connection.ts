/**
 * One simulated connection: two ends, and a pipe in each direction.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import {
  type Connection,
  type ConnectionHandler,
  type LineError,
  LineSplitter,
} from "../transport/mod.ts";
import type { CancelTimer, Clock } from "../writer/mod.ts";
import type { NetworkLink, Side } from "./network_link.ts";
import type { Surroundings } from "./network_faults.ts";
import type { SeededRandom } from "./seeded_random.ts";

const STALL_MS = [100, 5_000] as const;
const DELAY_MS = [10, 200] as const;

/** How long a close waits for bytes to leave, in ms. */
const CLOSE_GRACE_MS = 500;

/** Bytes on their way to one end, in order. */
class Pipe {
  readonly #link: SimulatedLink;
  readonly #to: End;
  readonly #from: End;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #timer: CancelTimer | undefined;
  #isEnding = false;

  constructor(link: SimulatedLink, from: End, to: End) {
    this.#link = link;
    this.#from = from;
    this.#to = to;
  }

  get bytes(): number {
    return this.#bytes;
  }

  send(chunk: Buffer): void {
    if (this.#isEnding || this.#link.isGone) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.wake();
  }

  /** Nothing follows. */
  end(): void {
    this.#isEnding = true;
    this.wake();
  }

  drop(): void {
    this.#chunks = [];
    this.#bytes = 0;
  }

  /** Sees to it that what waits is delivered, once nothing is in its way. */
  wake(extraMs = 0): void {
    const { random, clock, around } = this.#link;
    if (this.#timer !== undefined || this.#isBlocked()) return;
    if (this.#bytes === 0 && !this.#isEnding) return;
    this.#timer = clock.schedule(() => {
      this.#timer = undefined;
      this.#deliver();
    }, random.within(around.latencyMs) + extraMs);
  }

  #isBlocked(): boolean {
    const { isGone, isStalled, around } = this.#link;
    return isGone || isStalled || this.#to.isPaused ||
      around.isBlocked(this.#from.host, this.#to.host);
  }

  #deliver(): void {
    if (this.#isBlocked()) return;
    if (this.#bytes === 0) {
      this.#isEnding = false;
      this.#to.peerEnded();
      return;
    }
    const { random, around } = this.#link;
    const { faults, stats } = around;
    if (random.chance(faults.cut ?? 0)) return this.#link.cut();
    if (random.chance(faults.halfOpen ?? 0)) {
      return this.#link.cut(random.chance(0.5) ? "client" : "server");
    }
    if (random.chance(faults.stall ?? 0)) {
      return this.#link.stall(random.within(faults.stallMs ?? STALL_MS));
    }
    if (random.chance(faults.delay ?? 0)) {
      stats.delays += 1;
      return this.wake(random.within(faults.delayMs ?? DELAY_MS));
    }
    stats.chunks += 1;
    let chunk = Buffer.concat(this.#chunks);
    this.drop();
    if (chunk.length > 1 && random.chance(faults.split ?? 0)) {
      stats.splits += 1;
      const at = 1 + random.below(chunk.length - 1);
      const rest = chunk.subarray(at);
      chunk = chunk.subarray(0, at);
      this.#chunks.push(rest);
      this.#bytes = rest.length;
    }
    this.#to.receive(chunk);
    this.wake();
  }
}

/** One end, as the code under test sees it. */
export class End implements Connection {
  readonly isShared = false;
  readonly host: string;
  readonly remote: string;
  readonly #link: SimulatedLink;
  readonly #splitter: LineSplitter;
  #handler: ConnectionHandler | undefined;
  #isPaused = false;
  #isClosing = false;
  #isOver = false;
  /** Why nothing more is read. */
  #failure: LineError | undefined;
  #hasFailed = false;
  #held = "";
  #cancelGrace: CancelTimer | undefined;

  constructor(link: SimulatedLink, host: string, remote: string) {
    this.#link = link;
    this.host = host;
    this.remote = remote;
    this.#splitter = new LineSplitter(link.around.maxLineBytes);
  }

  get isPaused(): boolean {
    return this.#isPaused && !this.#isClosing;
  }

  /** Nothing more is told to its handler. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get queuedBytes(): number {
    return this.#link.pipeFrom(this).bytes;
  }

  handle(handler: ConnectionHandler): void {
    this.#handler = handler;
  }

  send(lines: string | Uint8Array): void {
    if (this.#isClosing || this.#isOver) return;
    this.#link.pipeFrom(this).send(Buffer.from(lines));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const held = this.#held;
    this.#held = "";
    if (held !== "" && !this.#isClosing && !this.#isOver) {
      this.#handler?.received(held);
    }
    this.#failIfDue();
    if (!this.#isPaused) this.#link.pipeTo(this).wake();
  }

  close(): void {
    if (this.#isClosing || this.#isOver) return;
    this.#isClosing = true;
    this.#link.pipeFrom(this).end();
    this.#link.pipeTo(this).wake();
    this.#cancelGrace = this.#link.clock.schedule(() => {
      this.finish();
      this.#link.pipeFrom(this).drop();
      this.#link.pipeFrom(this).end();
    }, CLOSE_GRACE_MS);
  }

  receive(chunk: Buffer): void {
    if (this.#isClosing || this.#isOver || this.#failure !== undefined) {
      return;
    }
    let lines;
    try {
      lines = this.#splitter.push(chunk);
    } catch (error) {
      this.#failure = error as LineError;
      lines = this.#failure.before;
    }
    if (this.#isPaused) this.#held += lines;
    else if (lines !== "") this.#handler?.received(lines);
    this.#failIfDue();
  }

  /** A line that can't be is told of once those before it were taken. */
  #failIfDue(): void {
    if (this.#failure === undefined || this.#hasFailed) return;
    if (this.#isPaused || this.#isClosing || this.#isOver) return;
    this.#hasFailed = true;
    this.#handler?.failed(this.#failure);
  }

  /** The other end has closed: so does this one. */
  peerEnded(): void {
    this.#link.pipeFrom(this).drop();
    this.#link.pipeFrom(this).end();
    this.finish();
  }

  /** It is gone; its handler is told. */
  finish(): void {
    if (this.#isOver) return;
    this.kill();
    this.#handler?.closed();
  }

  /** Its process is gone: nobody is told. */
  kill(): void {
    this.#isOver = true;
    this.#isClosing = true;
    this.#held = "";
    this.#cancelGrace?.();
  }
}

/** What {@linkcode SimulatedLink} connects. */
export interface LinkEnds {
  readonly address: string;
  readonly client: string;
  readonly server: string;
}

/** A connection, and what befalls it. */
export class SimulatedLink implements NetworkLink {
  readonly address: string;
  readonly client: string;
  readonly server: string;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly around: Surroundings;
  readonly clientEnd: End;
  readonly serverEnd: End;
  readonly #toServer: Pipe;
  readonly #toClient: Pipe;
  #isGone = false;
  #isStalled = false;

  /** Made by the network. */
  constructor(
    { address, client, server }: LinkEnds,
    clock: Clock,
    random: SeededRandom,
    around: Surroundings,
  ) {
    this.address = address;
    this.client = client;
    this.server = server;
    this.clock = clock;
    this.random = random;
    this.around = around;
    this.clientEnd = new End(this, client, `${server} (${address})`);
    this.serverEnd = new End(this, server, client);
    this.#toServer = new Pipe(this, this.clientEnd, this.serverEnd);
    this.#toClient = new Pipe(this, this.serverEnd, this.clientEnd);
  }

  /** Whether nothing can pass any more, whoever has noticed. */
  get isGone(): boolean {
    return this.#isGone;
  }

  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** Whether both ends know that it is gone. */
  get isOver(): boolean {
    return this.clientEnd.isOver && this.serverEnd.isOver;
  }

  /** Loses what is under way. Both ends notice, or one of them does. */
  cut(noticedBy?: Side): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const { stats, latencyMs } = this.around;
    if (noticedBy === undefined) stats.cuts += 1;
    else stats.halfOpens += 1;
    for (const pipe of [this.#toServer, this.#toClient]) pipe.drop();
    const tell = (end: End) =>
      void this.clock.schedule(
        () => end.finish(),
        this.random.within(latencyMs),
      );
    if (noticedBy !== "server") tell(this.clientEnd);
    if (noticedBy !== "client") tell(this.serverEnd);
  }

  /** Holds up what is sent in either direction; for good, unless `ms` is given. */
  stall(ms?: number): void {
    this.around.stats.stalls += 1;
    this.#isStalled = true;
    if (ms !== undefined) this.clock.schedule(() => this.resume(), ms);
  }

  /** Lets what was held up arrive. */
  resume(): void {
    this.#isStalled = false;
    this.wake();
  }

  /** Delivers what nothing is in the way of any more. */
  wake(): void {
    this.#toServer.wake();
    this.#toClient.wake();
  }

  /** One end's process dies; what it had sent arrives, or is lost with it. */
  kill(side: Side, isSentLost: boolean): void {
    const end = side === "client" ? this.clientEnd : this.serverEnd;
    if (end.isOver) return;
    end.kill();
    if (isSentLost) this.cut(side === "client" ? "server" : "client");
    else this.pipeFrom(end).end();
  }

  pipeFrom(end: End): Pipe {
    return end === this.clientEnd ? this.#toServer : this.#toClient;
  }

  pipeTo(end: End): Pipe {
    return end === this.clientEnd ? this.#toClient : this.#toServer;
  }
}

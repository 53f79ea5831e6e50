/**
 * The writing end: sends every commit to whoever is connected.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { formatCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/command.ts";
import type { CustomCommand } from "../protocol/custom_command.ts";
import type { CancelTimer } from "../runtime/clock.ts";
import { ANNOUNCE_INTERVAL_MS, MAX_OUTBOX_BYTES } from "../runtime/limits.ts";
import type { Token } from "../tokens/token.ts";
import type { Connection, ConnectionHandler } from "../transport/transport.ts";
import type { Outgoing } from "./command_bus.ts";
import {
  ConnectedReader,
  type DisconnectReason,
  measureQueues,
  NO_DISCONNECTIONS,
} from "./connected_reader.ts";
import { Echoes, RELAYED } from "./echoes.ts";
import { EphemeralLines } from "./ephemeral_lines.ts";
import { otherLogText } from "./other_log.ts";
import { PositionLines } from "./position_lines.ts";
import {
  tellConnected,
  tellDisconnected,
  tellLaggard,
} from "./reader_events.ts";
import type { StreamerOptions, StreamerStats } from "./streamer_options.ts";
import { countRows, type LoggedTransaction } from "./transaction.ts";
import { type Forms, TransactionLines } from "./transaction_lines.ts";
import { TurnFlusher } from "./turn_flusher.ts";

/**
 * Sends transactions to readers, in commit order, each line once.
 *
 * Commits of one turn of the event loop leave together, as one text that is
 * made and encoded once for all readers: once in rows, for those that take
 * nothing else, and once with INVALIDATE lines, if each kind is there. It ends
 * with a POSITION, so that readers know the last transaction to be complete.
 *
 * On a shared connection lines may be lost. There a text also begins with the
 * position that was told before, and positions are told again when all is
 * quiet: who has missed something notices.
 *
 * Promise 9, bounded: what waits for a reader is bounded in bytes, beside one
 * text that is larger than the bound; one that can't keep up is disconnected,
 * and catches up from the log.
 */
export class Streamer {
  readonly #options: StreamerOptions;
  readonly #readers = new Set<ConnectedReader>();
  readonly #disconnections = { ...NO_DISCONNECTIONS };
  /** Rows sent, by stream. */
  readonly #rows = new Map<string, number>();
  readonly #cancelTimers: CancelTimer[];
  readonly #positions: PositionLines;
  readonly #lines: TransactionLines;
  readonly #ephemeral: EphemeralLines;
  readonly #turn: TurnFlusher;
  /** How many of the readers are shared connections, or are sent INVALIDATE lines. */
  #shared = 0;
  #compact = 0;
  /** What was relayed to shared connections, and will be heard from there. */
  readonly #echoes = new Echoes();
  #isClosed = false;

  /** Constructs a streamer without readers. */
  constructor(options: StreamerOptions) {
    this.#options = options;
    const { clock } = options;
    this.#positions = new PositionLines(options);
    this.#lines = new TransactionLines(options);
    this.#ephemeral = new EphemeralLines(options);
    this.#turn = new TurnFlusher(clock, () => this.#flush());
    const beatMs = ConnectedReader.beatIntervalMs(options);
    this.#cancelTimers = [
      clock.repeat(() => this.#announceDue(), ANNOUNCE_INTERVAL_MS),
      clock.repeat(() => this.#beat(), beatMs),
    ];
  }

  /** What it has done so far. */
  get stats(): StreamerStats {
    return {
      connections: this.#readers.size,
      laggards: this.#disconnections.laggard,
      disconnections: { ...this.#disconnections },
      rowsByStream: new Map(this.#rows),
      ...measureQueues(this.#readers),
    };
  }

  /** Takes a new connection in. */
  accept(connection: Connection): ConnectionHandler {
    const { serverName, maxConnections } = this.#options;
    const reader: ConnectedReader = new ConnectedReader(
      this.#options,
      connection,
      {
        command: (command) => this.#received(reader, command),
        heartbeat: () => this.#tellPositions(reader),
        ended: (reason) => this.#ended(reader, reason),
      },
    );
    if (this.#isClosed || this.#readers.size >= maxConnections) {
      reader.fail("refused", "too many connections");
      return reader;
    }
    // What has been committed and not sent goes to those who were there.
    this.#flush();
    this.#readers.add(reader);
    if (reader.isShared) {
      this.#shared += 1;
      // Nobody will ask: they may all have asked before.
      this.#tellPositions(reader);
    } else {
      reader.send({ kind: "SERVER", name: serverName });
      reader.ping();
    }
    tellConnected(this.#options.instance, reader);
    return reader;
  }

  /**
   * Sends a transaction, within this turn of the event loop.
   *
   * @param transaction One that is committed; they come in token order.
   */
  publish(transaction: LoggedTransaction): void {
    if (this.#readers.size === 0) {
      // Who connects later is told the position.
      this.#positions.pass(transaction.token);
      return;
    }
    this.#lines.add(transaction, this.#forms);
    const counts = countRows(transaction);
    this.#positions.add(transaction.token, counts, this.#shared > 0);
    for (const [stream, rows] of counts) this.#count(stream, rows);
    this.#turn.request();
  }

  /** Sends rows of an ephemeral stream likewise, after what was committed before. */
  publishEphemeral(
    stream: string,
    token: Token,
    rows: readonly string[],
  ): void {
    const readers = [...this.#readers];
    if (readers.length > 0) this.#count(stream, rows.length);
    const isLossy = readers.some(({ isShared }) => isShared);
    this.#ephemeral.add(stream, token, readers.length > 0 ? rows : [], isLossy);
    this.#turn.request();
  }

  /**
   * Sends a command to those that take it, after all that was published.
   *
   * @param outgoing The command.
   * @param from Who said it, if it is relayed.
   * @returns To how many it went.
   */
  send(outgoing: Outgoing, from?: ConnectedReader): number {
    if (this.#isClosed) return 0;
    this.#flush();
    const bytes = Buffer.from(`${outgoing.line}\n`);
    let sent = 0;
    for (const reader of this.#readers) {
      // Who shares a channel has heard it; two writers on two would relay for ever.
      const hasHeard = reader === from || (from?.isShared && reader.isShared);
      if (hasHeard || !reader.takes(outgoing)) continue;
      if (reader.isShared && outgoing.name === RELAYED) {
        this.#echoes.add(outgoing.line);
      }
      this.#sendTo(reader, bytes);
      sent += 1;
    }
    return sent;
  }

  /**
   * Has every reader compare its position with the log: those that are alone on
   * their connection connect again, those on a shared one find a gap.
   */
  disconnect(reason: string): void {
    this.#flush();
    this.#positions.openGap();
    for (const reader of [...this.#readers]) {
      if (!reader.isShared) reader.fail("closing", reason);
    }
  }

  /**
   * Says good-bye to every reader, and accepts none from now on.
   *
   * @param reason What readers are told.
   */
  close(reason: string): void {
    if (this.#isClosed) return;
    this.#flush();
    this.#isClosed = true;
    this.#cancelTimers.forEach((cancel) => cancel());
    for (const reader of [...this.#readers]) reader.fail("closing", reason);
    this.#options.receiver?.closed();
  }

  #received(
    reader: ConnectedReader,
    command: Command | CustomCommand,
  ): void | Promise<void> {
    const { receiver } = this.#options;
    switch (command.kind) {
      case "REPLICATE":
        // What has been gathered is in the forms that were wanted before.
        this.#flush();
        // It may have been too much for this very reader.
        if (!this.#readers.has(reader)) return;
        if (!reader.isShared && this.#isOther(command.logId)) {
          reader.fail("refused", otherLogText());
          return;
        }
        this.#compact -= Number(reader.isCompact);
        reader.isCompact = !reader.isShared && command.takesInvalidate === true;
        this.#compact += Number(reader.isCompact);
        receiver?.replicating(reader);
        this.#tellPositions(reader);
        return;
      case "HELD":
      case "RDATA":
      case "INVALIDATE":
      case "POSITION":
        // On a shared connection: another writer's, or an echo of what is done.
        return;
      case RELAYED:
        if (!this.#relay(reader, command)) return;
    }
    return receiver?.command(command, reader.sender, reader);
  }

  #isOther(logId: string | undefined): boolean {
    const own = this.#options.logId?.();
    return own !== undefined && logId !== undefined && logId !== own;
  }

  /** Tells all others; says whether it was news. */
  #relay(from: ConnectedReader, command: Command): boolean {
    const line = formatCommand(command);
    if (from.isShared && this.#echoes.take(line)) return false;
    this.send({ line, name: RELAYED, isCustom: false, to: undefined }, from);
    return true;
  }

  #ended(reader: ConnectedReader, reason: DisconnectReason): void {
    this.#disconnections[reason] += 1;
    tellDisconnected(this.#options.instance, reader, reason);
    if (!this.#readers.delete(reader)) return;
    if (reader.isShared) this.#shared -= 1;
    if (reader.isCompact) this.#compact -= 1;
    this.#options.receiver?.gone(reader);
  }

  #flush(): void {
    this.#turn.done();
    if (this.#isClosed) return;
    this.#flushDurable();
    const lines = this.#ephemeral.take();
    if (lines !== "") this.#sendToAll(lines);
  }

  #flushDurable(): void {
    if (this.#lines.isEmpty && !this.#positions.isUntold) return;
    const positions = this.#positions.take();
    const { rows, compact } = this.#lines.take();
    this.#sendToAll(rows + positions, compact + positions);
  }

  /** Once a second at most: the streams that tokens have passed without a row. */
  #announceDue(): void {
    if (!this.#positions.isDue) return;
    this.#flush();
    const positions = this.#positions.takeDue();
    if (positions !== "") this.#sendToAll(positions);
  }

  /** Answers REPLICATE: what comes after this is all that comes after the token. */
  #tellPositions(reader: ConnectedReader): void {
    this.#flush();
    const lines = this.#positions.all() + this.#ephemeral.positions();
    const held = reader.isShared ? this.#held() : "";
    this.#sendTo(reader, Buffer.from(held + lines));
  }

  /** Promise 7: nothing else tells a shared connection of another life of the log. */
  #held(): string {
    const { instance, holder } = this.#options;
    if (holder === undefined) return "";
    return `${formatCommand({ kind: "HELD", instance, holder })}\n`;
  }

  /**
   * @param lines For all readers.
   * @param compact For those that are sent INVALIDATE lines.
   */
  #sendToAll(lines: string, compact = lines): void {
    const forms = this.#forms;
    const bytes = Buffer.from(forms.rows ? lines : "");
    const compactBytes = compact === lines && forms.rows
      ? bytes
      : Buffer.from(forms.compact ? compact : "");
    const shared = this.#shared === 0
      ? bytes
      : Buffer.from(this.#positions.takeBeginning() + lines);
    this.#positions.sent();
    for (const reader of this.#readers) {
      const own = reader.isCompact ? compactBytes : bytes;
      this.#sendTo(reader, reader.isShared ? shared : own);
    }
  }

  /** What the readers want. */
  get #forms(): Forms {
    return {
      rows: this.#compact < this.#readers.size,
      compact: this.#compact > 0,
    };
  }

  #sendTo(reader: ConnectedReader, bytes: Uint8Array): void {
    const { maxOutboxBytes = MAX_OUTBOX_BYTES, logger } = this.#options;
    if (reader.sendWithin(bytes, maxOutboxBytes)) return;
    logger("warn", "reader can't keep up: disconnected", {
      reader: reader.name,
      queuedBytes: reader.queuedBytes,
    });
    tellLaggard(this.#options.instance, reader);
    reader.fail("laggard", "Failed to keep up");
  }

  #count(stream: string, rows: number): void {
    this.#rows.set(stream, (this.#rows.get(stream) ?? 0) + rows);
  }

  #beat(): void {
    for (const reader of this.#readers) reader.beat();
  }
}

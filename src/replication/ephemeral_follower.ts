/**
 * Following streams that are in no log: what was missed is asked of the writer.
 *
 * @module
 */

import { Backoff } from "../runtime/backoff.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import {
  MAX_ROWS_PER_TRANSACTION,
  MAX_TRANSACTION_BYTES,
} from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Random } from "../runtime/random.ts";
import { parseRow } from "../streams/rows.ts";
import { type Token, TOKEN_ZERO } from "../tokens/token.ts";
import type { Channel, EphemeralStreams } from "./ephemeral_streams.ts";

/** What a writer answers to the question what a reader has missed. */
export interface UpdatesPage {
  /** Ascending; a token's rows are all here. */
  readonly rows: readonly (readonly [token: Token, row: unknown])[];
  /** The token up to which they are contained. */
  readonly upTo: Token;
  /** Whether the range goes on. */
  readonly isLimited: boolean;
  /** The writer's life; `undefined` if it is none of ours, and doesn't tell. */
  readonly run: string | undefined;
  /** Rows up to here are not held any more. */
  readonly floor: Token;
}

/** Asks an instance for rows of a stream, `after < token <= upTo`. */
export type FetchUpdates = (
  stream: string,
  instance: string,
  after: Token,
  upTo: Token,
  signal: AbortSignal,
) => Promise<UpdatesPage>;

/** What an ephemeral follower works with. */
export interface EphemeralFollowerOptions {
  readonly streams: EphemeralStreams;
  /** Whether it is known where to ask an instance. */
  readonly canAsk: (instance: string) => boolean;
  readonly fetch: FetchUpdates;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What one connection has brought of an instance's part of a stream. */
interface Inbox {
  readonly channel: Channel;
  /** Rows of a batch that has not ended. */
  batch: unknown[];
  chars: number;
  /** Whether the beginning of the batch was dropped. */
  isTorn: boolean;
  /** Up to where to ask for rows. */
  target: Token;
  isCatchingUp: boolean;
}

/**
 * Takes in what one connection brings of ephemeral streams.
 *
 * - Nobody is asked for a stream before somebody has subscribed to it.
 * - Before a stream's first POSITION on this connection its rows are dropped.
 * - That POSITION, and every gap, has the writer asked over HTTP, beside the
 *   connection: invalidations don't wait for it. Until it has answered, rows
 *   only say how far to ask.
 * - A writer that started over is known by its run, or by a position that moved
 *   back; rows that it holds no more, by its floor. Both mean reset.
 */
export class EphemeralFollower {
  readonly #options: EphemeralFollowerOptions;
  readonly #inboxes = new Map<string, Inbox>();
  #connection = new AbortController();

  /** Constructs a follower of a connection that has told nothing. */
  constructor(options: EphemeralFollowerOptions) {
    this.#options = options;
    options.streams.onWanted((stream) => {
      for (const inbox of this.#inboxes.values()) {
        if (inbox.channel.stream === stream) void this.#catchUp(inbox, true);
      }
    });
  }

  /** Whether a stream is one of those that are in no log. */
  has(stream: string): boolean {
    return this.#options.streams.has(stream);
  }

  /** Takes an RDATA line; `token` is `undefined` for `batch`. */
  row(
    stream: string,
    instance: string,
    token: Token | undefined,
    row: string,
  ): void | Promise<void> {
    const inbox = this.#inboxes.get(`${stream} ${instance}`);
    if (inbox === undefined) return;
    if (inbox.isCatchingUp || inbox.isTorn) {
      inbox.isTorn = token === undefined;
      return token === undefined ? undefined : this.#require(inbox, token);
    }
    if (token !== undefined && isGap(inbox.channel, token)) {
      forget(inbox);
      return this.#require(inbox, token);
    }
    inbox.batch.push(parseRow(row));
    inbox.chars += row.length;
    requireRoom(inbox);
    if (token === undefined) return;
    const rows = inbox.batch;
    forget(inbox);
    return this.#options.streams.apply(inbox.channel, token, rows);
  }

  /** Takes a POSITION line. */
  position(
    stream: string,
    instance: string,
    previous: Token,
    token: Token,
  ): void | Promise<void> {
    const { streams } = this.#options;
    const name = `${stream} ${instance}`;
    const inbox = this.#inboxes.get(name);
    if (inbox === undefined) {
      const first: Inbox = {
        channel: streams.channel(stream, instance),
        batch: [],
        chars: 0,
        isTorn: false,
        target: token,
        isCatchingUp: true,
      };
      this.#inboxes.set(name, first);
      return streams.isWanted(stream) ? this.#catchUp(first, true) : undefined;
    }
    forget(inbox);
    const reached = inbox.channel.token;
    if (inbox.isCatchingUp) inbox.target = token;
    else if (previous > reached || token < reached) {
      inbox.target = token;
      return this.#catchUp(inbox, false);
    } else return streams.apply(inbox.channel, token, []);
  }

  /** The connection is lost, or the follower closed: nobody is asked any more. */
  disconnected(): void {
    this.#connection.abort();
    this.#connection = new AbortController();
    this.#inboxes.clear();
  }

  #require(inbox: Inbox, token: Token): void | Promise<void> {
    if (token > inbox.target) inbox.target = token;
    if (!inbox.isCatchingUp) return this.#catchUp(inbox, false);
  }

  /** Asks until there is an answer, beside the connection. */
  #catchUp(inbox: Inbox, isFirst: boolean): void | Promise<void> {
    inbox.isCatchingUp = true;
    if (!this.#options.canAsk(inbox.channel.instance)) {
      return this.#giveUp(inbox, isFirst);
    }
    const { streams } = this.#options;
    streams.pending += 1;
    void this.#untilDone(inbox, this.#connection.signal)
      .finally(() => streams.pending -= 1);
  }

  async #untilDone(
    inbox: Inbox,
    signal: AbortSignal,
  ): Promise<void> {
    const { logger } = this.#options;
    const backoff = new Backoff(this.#options);
    while (!signal.aborted) {
      try {
        await this.#fetchAll(inbox, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const { stream, instance } = inbox.channel;
        logger("warn", "cannot ask for an ephemeral stream, trying again", {
          stream,
          instance,
          error: messageOf(error),
        });
      }
      await backoff.pause(signal);
    }
  }

  async #fetchAll(
    inbox: Inbox,
    signal: AbortSignal,
  ): Promise<void> {
    const { channel } = inbox;
    const { stream, instance } = channel;
    let hasStartedOver = false;
    while (inbox.isCatchingUp) {
      const { target } = inbox;
      const page = await this.#options.fetch(
        stream,
        instance,
        channel.token,
        target,
        signal,
      );
      signal.throwIfAborted();
      const reached = channel.token;
      if (!await this.#take(channel, page, target, signal)) {
        if (hasStartedOver) throw turnsError(channel);
        hasStartedOver = true;
        continue;
      }
      signal.throwIfAborted();
      if (page.isLimited && channel.token === reached) {
        throw stuckError(channel);
      }
      // In this very turn: a row that comes later is no more for this catch-up.
      inbox.isCatchingUp = inbox.target !== target || page.isLimited;
    }
  }

  /** Nobody can be asked: nothing is missing only if there never was anything. */
  #giveUp(inbox: Inbox, isFirst: boolean): void | Promise<void> {
    const { channel, target } = inbox;
    const finish = (): void | Promise<void> => {
      if (inbox.target !== target) return this.#giveUp(inbox, false);
      inbox.isCatchingUp = false;
    };
    if (isFirst && channel.token === 0 && target === 0) return finish();
    const reason = `no HTTP address of instance "${channel.instance}" is given`;
    const done = this.#options.streams.reset(channel, target, reason);
    return done === undefined ? finish() : done.then(finish);
  }

  /** Takes an answer in; `false` if it has to be asked again, from the beginning. */
  async #take(
    channel: Channel,
    page: UpdatesPage,
    target: Token,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { streams } = this.#options;
    const { run, floor, upTo, isLimited } = page;
    const reached = channel.token;
    if (run !== undefined && run !== channel.run) {
      const isKnown = channel.run !== undefined || reached > TOKEN_ZERO;
      channel.run = run;
      if (isKnown) {
        await streams.reset(channel, TOKEN_ZERO, "the writer started over");
        return false;
      }
    }
    if (run === undefined && target < reached) {
      // A foreign writer's: what it answered is what it has had since.
      await streams.reset(channel, TOKEN_ZERO, "the position moved back");
    } else if (floor > reached) {
      await streams.reset(channel, floor, "the writer holds them no more");
    }
    for (const [token, rows] of byToken(page.rows)) {
      await streams.apply(channel, token, rows);
      // What remains is for whoever is connected by then to ask for.
      signal.throwIfAborted();
    }
    const isForeign = run === undefined;
    const end = isForeign && !isLimited ? Math.max(upTo, target) : upTo;
    await streams.apply(channel, end as Token, []);
    return true;
  }
}

/** To ask again at once would only be answered the same. */
function stuckError({ stream, instance, token }: Channel): HeadwaterError {
  return new HeadwaterError(
    "CALL_FAILED",
    `Cannot go on after token ${token} of stream "${stream}" of instance ` +
      `"${instance}": the answer has no rows, and says that there are more`,
  );
}

/** Each answer would undo the one before, for as long as it is asked. */
function turnsError({ stream, instance }: Channel): HeadwaterError {
  return new HeadwaterError(
    "CALL_FAILED",
    `Cannot take in stream "${stream}" of instance "${instance}": ` +
      "two writers answer in turn; give the address of the one that has the name",
  );
}

function byToken(
  rows: UpdatesPage["rows"],
): readonly (readonly [Token, readonly unknown[]])[] {
  const groups: (readonly [Token, unknown[]])[] = [];
  for (const [token, row] of rows) {
    const last = groups.at(-1);
    if (last?.[0] === token) last[1].push(row);
    else groups.push([token, [row]]);
  }
  return groups;
}

/** Our own writers leave no token out; what foreign ones do, only POSITION tells. */
function isGap({ token, run }: Channel, next: Token): boolean {
  return run !== undefined && next > token + 1;
}

function forget(inbox: Inbox): void {
  inbox.batch = [];
  inbox.chars = 0;
  inbox.isTorn = false;
}

function requireRoom({ channel, batch, chars }: Inbox): void {
  if (
    batch.length <= MAX_ROWS_PER_TRANSACTION && chars <= MAX_TRANSACTION_BYTES
  ) return;
  throw new HeadwaterError(
    "TRANSACTION_TOO_LARGE",
    `Cannot take in more than ${MAX_ROWS_PER_TRANSACTION} rows or ` +
      `${MAX_TRANSACTION_BYTES} characters of stream "${channel.stream}" under ` +
      "one token; publish fewer at a time",
  );
}

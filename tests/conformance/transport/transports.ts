// Every transport there is, and what any of them must do. A case is written
// once, and run for each.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import t, { type Test } from "tap";
import { systemClock } from "../../../src/runtime/clock.ts";
import { CLOSE_GRACE_MS } from "../../../src/runtime/limits.ts";
import { openTransport } from "../../../src/transport/open_transport.ts";
import type {
  AcceptConnection,
  Address,
  Listener,
  TlsOptions,
  Transport,
} from "../../../src/transport/transport.ts";
import { type FaultProxy, openFaultProxy } from "../../../src/testing/mod.ts";
import { type Authority, createAuthority } from "../../support/certificates.ts";
import { until } from "../../support/conditions.ts";
import { temporaryFolder } from "../../support/folders.ts";
import { type ManualClock, manualClock } from "../../support/manual_clock.ts";
import { noRedis, type RedisServer, startRedis } from "../../support/redis.ts";
import { CHANNEL_EXCEPTIONS } from "./channel_exceptions.ts";
import { type End, watch } from "./ends.ts";

/** Bytes of a line, in cases that don't say otherwise. */
export const MAX_LINE_BYTES = 1_000;

/** Somewhere to listen, and to connect to. */
export interface Place {
  readonly listen: Address;
  /** Where to connect to, once somebody listens at `url`. */
  connect(url: string): Address;
  readonly tls?: TlsOptions;
  /** What a channel is made of, where this is one. */
  readonly shared?: SharedPlace;
}

/** A channel of Redis, with a proxy before Redis on either side. */
export interface SharedPlace {
  readonly redis: RedisServer;
  readonly channel: string;
  /** Between Redis and whoever listens. */
  readonly far: FaultProxy;
  /** Between Redis and all who connect. */
  readonly near: FaultProxy;
}

/** A transport, as the table knows it. */
interface Kind {
  /** A place that nobody else uses; what it needs goes with the test. */
  place(t: Test): Place | Promise<Place>;
  /** Whether everybody on it hears everybody: whoever listens has one connection. */
  readonly isShared?: boolean;
  /** Why none applies here. */
  readonly skip?: string | false;
  /** Why cases do not apply, by their names. */
  readonly except: Readonly<Record<string, string>>;
}

let authority: Authority | undefined;

/** Keys for both ends, each of which asks the other for its certificate. */
export function testTls(): TlsOptions & { readonly ca: string } {
  authority ??= createAuthority();
  return {
    ...authority.issue(),
    ca: authority.ca,
    requestCert: true,
  };
}

/** One whose ends are threads, and go with the test. */
function channelPlace(t: Test): Place {
  const { port1, port2 } = new MessageChannel();
  t.teardown(() => port1.close());
  return { listen: port1, connect: () => port2 };
}

let redis: Promise<RedisServer> | undefined;

/** A channel that nobody else uses. */
async function redisPlace(test: Test): Promise<Place> {
  // One server for all of the file.
  redis ??= startRedis(t);
  const server = await redis;
  await server.start();
  const openProxy = async () => {
    const proxy = await openFaultProxy({ target: server.url });
    test.teardown(() => proxy.close());
    return proxy;
  };
  const [near, far] = [await openProxy(), await openProxy()];
  const channel = randomBytes(8).toString("hex");
  const through = ({ port }: FaultProxy) =>
    `redis://127.0.0.1:${port}?channel=${channel}`;
  return {
    listen: through(far),
    connect: () => through(near),
    shared: { redis: server, channel, near, far },
  };
}

const ONE_LIFE = "both ends are in one process, which has one life";

/**
 * The table. A transport that is a bus, where everybody hears everybody, has no
 * connections to open, to count or to close: what supposes them is to be named
 * in its `except`, with that for a reason.
 */
export const KINDS: Readonly<Record<string, Kind>> = {
  tcp: {
    place: () => ({ listen: "tcp://127.0.0.1:0", connect: (url) => url }),
    except: {},
  },
  tls: {
    place: () => ({
      listen: "tls://127.0.0.1:0",
      connect: (url) => url,
      tls: testTls(),
    }),
    except: {},
  },
  unix: {
    place: (t) => ({
      listen: `unix:${join(temporaryFolder(t), "s")}`,
      connect: (url) => url,
    }),
    except: {},
  },
  memory: {
    place: (t) => ({
      listen: `memory:${temporaryFolder(t)}`,
      connect: (url) => url,
    }),
    except: {
      "who connected is killed": ONE_LIFE,
      "who listens is killed": ONE_LIFE,
      "it is killed in the middle of a line": ONE_LIFE,
      "it is killed while much is on its way to it": ONE_LIFE,
    },
  },
  port: { place: channelPlace, except: {} },
  redis: {
    place: redisPlace,
    isShared: true,
    skip: noRedis,
    except: CHANNEL_EXCEPTIONS,
  },
};

/** What a case has at hand. */
export interface Ground {
  readonly kind: string;
  readonly place: Place;
  readonly clock: ManualClock;
  /** The one that listens, or has listened last. */
  readonly listener: Listener;
  /** Everybody that the listener has accepted so far. */
  readonly accepted: readonly End[];
  /** Called with each connection that the listener accepts, before it is read. */
  onAccept: (end: End) => void;
  /** A transport that listens or connects at this place. */
  listening(): Transport;
  connecting(): Transport;
  /** A new connection's end that connects. */
  connect(onAccept?: (end: End) => void, signal?: AbortSignal): Promise<End>;
  /** Both ends of a new connection. */
  pair(): Promise<{ readonly near: End; readonly far: End }>;
  /** Listens once more at this place; goes with the test. */
  listen(accept?: AcceptConnection): Promise<Listener>;
}

/** What a transport must do. */
export type Case = (t: Test, ground: Ground) => Promise<void>;

/**
 * What is asked of a channel in the place of a case that does not apply there:
 * by that case's name, its likes by theirs.
 */
export type ChannelLikes<Like = ChannelCase> = Readonly<
  Record<string, Readonly<Record<string, Like>>>
>;

/** What a channel must do. */
export type ChannelCase = (
  t: Test,
  ground: Ground & { readonly shared: SharedPlace },
) => Promise<void>;

/**
 * Runs cases on every transport.
 *
 * @param title What they are about.
 * @param likes What is asked of a channel in the place of some.
 * @param cases Those of connections with two ends.
 */
export function conform(
  title: string,
  likes: ChannelLikes,
  cases: Record<string, Case>,
): void {
  for (const [kind, { place }] of Object.entries(KINDS)) {
    const open = async (t: Test) => {
      const made = await place(t);
      return { ground: await openGround(t, kind, made), ...made };
    };
    runCases(kind, title, likes, cases, {
      run: async (t, run) => await run(t, (await open(t)).ground),
      runLike: async (t, run) => {
        const { ground, shared } = await open(t);
        if (shared === undefined) throw new TypeError(`${kind} is no channel`);
        await run(t, Object.assign(ground, { shared }));
      },
    });
  }
}

/** Runs a kind's cases, or on a channel what there is in their place. */
export function runCases<Any, Like>(
  kind: string,
  title: string,
  likes: ChannelLikes<Like>,
  cases: Readonly<Record<string, Any>>,
  how: {
    run(t: Test, run: Any): Promise<void>;
    runLike(t: Test, run: Like): Promise<void>;
  },
): void {
  const { except = {}, skip = false, isShared = false } = KINDS[kind] ?? {};
  t.test(`${kind}: ${title}`, { skip }, async (t) => {
    for (const [name, run] of Object.entries(cases)) {
      const inapplicable = except[name] ?? false;
      const instead = isShared && inapplicable ? likes[name] ?? {} : {};
      for (const [like, run] of Object.entries(instead)) {
        await t.test(like, (t) => how.runLike(t, run));
      }
      if (Object.keys(instead).length > 0) continue;
      await t.test(name, { skip: inapplicable }, (t) => how.run(t, run));
    }
    if (!isShared) return;
    const idle = Object.keys(likes).filter((name) =>
      !(name in cases && name in except)
    );
    t.same(idle, [], "each like stands in the place of a case");
  });
}

async function openGround(
  t: Test,
  kind: string,
  place: Place,
): Promise<Ground> {
  const clock = manualClock();
  const accepted: End[] = [];
  const ends: End[] = [];
  const options = { maxLineBytes: MAX_LINE_BYTES, tls: place.tls };
  let current!: Listener;
  const listening = () => openTransport(place.listen, clock, options);
  const connecting = () =>
    openTransport(place.connect(current.url), clock, options);
  const listen = async (accept: AcceptConnection = acceptAll) => {
    const listener = await listening().listen(accept);
    t.teardown(() => listener.close());
    current = listener;
    return listener;
  };
  const acceptAll = watch((end) => {
    accepted.push(end);
    ends.push(end);
    ground.onAccept(end);
  });
  t.teardown(() => {
    for (const { connection } of ends) connection.close();
    clock.advance(CLOSE_GRACE_MS);
  });
  const ground: Ground = {
    kind,
    place,
    clock,
    get listener() {
      return current;
    },
    accepted,
    onAccept: () => {},
    listening,
    connecting,
    listen,
    async connect(onAccept = () => {}, signal) {
      let end: End | undefined;
      await connecting().connect(
        watch((made) => {
          end = made;
          ends.push(made);
          onAccept(made);
        }),
        signal,
      );
      return end as End;
    },
    async pair() {
      // On a channel the listener's end is there from the beginning.
      const count = KINDS[kind]?.isShared ? 0 : accepted.length;
      const near = await ground.connect();
      await until("it is accepted", () => accepted.length > count);
      return { near, far: accepted[count] as End };
    },
  };
  await listen();
  return ground;
}

/** Lets what is under way arrive, as far as turns of the event loop can. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise<void>((resolve) => systemClock.nextTurn(resolve));
  }
}

// Deliberate mistakes: each a piece of the built code, and what to put in its
// place. The simulation must catch every one. `breaks` is the promise at stake.

export interface Mutation {
  readonly name: string;
  readonly breaks: number;
  /** Files of dist/src; the text stands there once. */
  readonly patches: readonly (readonly [
    file: string,
    text: string,
    replacement: string,
  ])[];
}

const FOLLOWER = "replication/follower.js";
const RESETTER = "replication/resetter.js";
const APPLIER = "replication/transaction_applier.js";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "announce before the commit",
    breaks: 1,
    patches: [[
      "writer/transaction_runner.js",
      "await recorded;\n        return done;",
      "await recorded;\n        recorder.committed(state.ticket);\n        return done;",
    ]],
  },
  {
    name: "follow nobody through the database",
    breaks: 1,
    patches: [[
      "replication/database_watcher.js",
      "if (!isConnected(name) && !isReached(end)) {",
      "if (false) {",
    ]],
  },
  {
    name: "tell of commits in the order they end in",
    breaks: 2,
    patches: [[
      "writer/commit_order.js",
      "if (token <= position)\n                due.push(transaction);",
      "due.push(transaction);",
    ]],
  },
  {
    name: "keep torn batches when the connection is lost",
    breaks: 3,
    patches: [[
      FOLLOWER,
      "this.#assembler.reset();",
      "",
    ]],
  },
  {
    name: "lose the last row of a batch",
    breaks: 3,
    patches: [[
      "replication/batch_assembler.js",
      "rows.push(row);",
      "if (token === undefined || rows.length === 0) rows.push(row);",
    ]],
  },
  {
    name: "pass over what is invalidated without a row",
    breaks: 5,
    patches: [[
      APPLIER,
      "this.#caches.applyAll(name, keys);",
      "",
    ]],
  },
  {
    name: "call handlers twice",
    breaks: 3,
    patches: [[
      "replication/stream_handlers.js",
      "calls.push([subscription, batch]);",
      "calls.push([subscription, batch], [subscription, batch]);",
    ]],
  },
  {
    name: "move the position before the handlers",
    breaks: 3,
    patches: [[
      APPLIER,
      "const handled = isHandled ? this.#handle(transaction)",
      "this.#position.advance(instance, token);\n        const handled = isHandled ? this.#handle(transaction)",
    ]],
  },
  {
    name: "tell the position before the rows",
    breaks: 3,
    patches: [[
      "replication/streamer.js",
      "this.#sendToAll(rows + positions, compact + positions);",
      "this.#sendToAll(positions + rows, positions + compact);",
    ]],
  },
  {
    name: "keep a load that was invalidated meanwhile",
    breaks: 4,
    patches: [[
      "caches/keyed_cache.js",
      "this.#fenced += 1;",
      "this.#adopt(parts, loading);",
    ]],
  },
  {
    name: "expand only the first part of a group",
    breaks: 4,
    patches: [[
      "caches/cache_registry.js",
      "for (const [name, parts] of expanded)\n            this.#invalidate",
      "for (const [name, parts] of expanded.slice(0, 1))\n            this.#invalidate",
    ]],
  },
  {
    name: "wake waiters a token early",
    breaks: 5,
    patches: [[
      "replication/token_waiters.js",
      "!this.#isUpTo(next.token, token)",
      "!this.#isUpTo(next.token - 1, token)",
    ], [
      "replication/reader_position.js",
      "if (isFollowed && this.contains(instance, token))\n                return;",
      "if (isFollowed && this.contains(instance, token - 1))\n                return;",
    ]],
  },
  {
    name: "invalidate once waiters are awake",
    breaks: 5,
    patches: [[
      APPLIER,
      "this.#invalidate(transaction);\n        return this.#caches.hasUnjudged",
      "queueMicrotask(() => this.#invalidate(transaction));\n        return this.#caches.hasUnjudged",
    ]],
  },
  {
    name: "forget the flush on a reset",
    breaks: 6,
    patches: [[
      RESETTER,
      "caches.flush(cause);\n        const visible",
      "const visible",
    ]],
  },
  {
    name: "adopt a position before catching up to it",
    breaks: 6,
    patches: [[
      "replication/follower.js",
      "if (await this.#fetcher.fetch({ instance, after, upTo })) {",
      "position.advance(instance, upTo);\n        if (await this.#fetcher.fetch({ instance, after, upTo })) {",
    ]],
  },
  {
    name: "take rows before the first position",
    breaks: 6,
    patches: [[
      FOLLOWER,
      "if (!this.#connected.has(instance))\n            return;\n        const complete = this.#assembler.addRow",
      "const complete = this.#assembler.addRow",
    ], [
      FOLLOWER,
      "if (!this.#connected.has(instance))\n            return;\n        const complete = this.#assembler.addInv",
      "const complete = this.#assembler.addInv",
    ]],
  },
  {
    name: "ignore what retention has deleted",
    breaks: 6,
    patches: [[
      "replication/catch_up.js",
      "return await readFloor(session) <= after;",
      "return true;",
    ], [
      "replication/catch_up.js",
      "await hasRecord(session, instance, upTo)",
      "true",
    ]],
  },
  {
    name: "delete without noting the floor",
    breaks: 6,
    patches: [[
      "log/retention.js",
      "await session.run(SET_FLOOR, [stream, upTo]);",
      "",
    ]],
  },
  {
    name: "skip the history check",
    breaks: 7,
    patches: [[
      FOLLOWER,
      "else if (!await history.isInHistory(instance, reached)) {\n                const end",
      "else if (false) {\n                const end",
    ]],
  },
  {
    name: "commit under a lease that is another's",
    breaks: 8,
    patches: [[
      "log/sqlite_append.js",
      "WHERE name = ? AND fence = ?)\n      AND",
      "WHERE name = ? AND ? > 0)\n      AND",
    ]],
  },
  {
    name: "let a laggard's outbox grow",
    breaks: 9,
    patches: [[
      "replication/connected_reader.js",
      "return queuedBytes <= maxQueuedBytes + this.#oversizedBytes;",
      "return true;",
    ]],
  },
  {
    name: "begin backing off anew at every attempt",
    breaks: 9,
    patches: [[
      "replication/client.js",
      "if (wasLive)\n                backoff.reset();",
      "backoff.reset();",
    ]],
  },
  {
    name: "invalidate only once where a replica lags",
    breaks: 10,
    patches: [[
      APPLIER,
      "this.#invalidate(transaction);\n                return this.#finishHandled",
      "return this.#finishHandled",
    ]],
  },
  {
    name: "ignore a position whose previous is beyond what was reached",
    breaks: 6,
    patches: [[
      "replication/follower.js",
      "if (previous > reached) {",
      "if (false) {",
    ]],
  },
  {
    name: "keep what was loaded before a server was restored",
    breaks: 7,
    patches: [[
      "replication/database_life.js",
      "return before !== undefined && before !== this.#known;",
      "return false;",
    ]],
  },
  {
    name: "vouch for what a dead writer told",
    breaks: 7,
    patches: [[
      "replication/history_marks.js",
      "holder: isThere ? holder : NOBODY,",
      "holder: await readHolderMark(session, instance),",
    ]],
  },
  {
    name:
      "begin to hold a name before the last holder's transactions have ended",
    breaks: 8,
    patches: [[
      "log/lease.js",
      "await endConnections(session, previous);\n    const deadlineMs",
      "const deadlineMs",
    ], ["log/lease.js", "if (Number(row?.[0]) === 0)", "if (true)"]],
  },
  {
    name: "reset on a replica once one token is there",
    breaks: 10,
    patches: [[
      "replication/replica_gate.js",
      "await this.#untilReplayed(instance);",
      "",
    ]],
  },
  {
    name: "wait for ever for what a replica will never have",
    breaks: 10,
    patches: [[
      "replication/replica_gate.js",
      "() => this.#requireRecord(instance, token));",
      "() => Promise.resolve());",
    ]],
  },
  {
    name: "take a deleted commit for one that was abandoned",
    breaks: 1,
    patches: [[
      "writer/recorder.js",
      "if (floor > after)\n                        lost(floor);",
      "",
    ], [
      "writer/recorder.js",
      "if (floor <= after)\n                        return false;",
      "return false;",
    ]],
  },
  {
    name: "stay connected after the name is lost",
    breaks: 1,
    patches: [["writer/lease_keeper.js", "this.#options.lost();", ""]],
  },
  {
    name: "delete beyond a token that is still open",
    breaks: 6,
    patches: [[
      "log/retention.js",
      "if (end < upTo)\n                upTo = parseToken(Math.max(TOKEN_ZERO, end));",
      "",
    ]],
  },
  {
    name: "forget a batch behind one that is tried again",
    breaks: 3,
    patches: [[
      "replication/stream_subscription.js",
      "this.#queue.push({\n            batch,\n            attempts: 0,",
      "[].push({\n            batch,\n            attempts: 0,",
    ]],
  },
  {
    name: "pass over what a catch-up has changed",
    breaks: 3,
    patches: [[
      APPLIER,
      "for (const each of transactions)\n            markChanges(this.#changes, each);",
      "",
    ]],
  },
  {
    name: "know the changes of a stream that retention has deleted",
    breaks: 6,
    patches: [[
      "replication/change_filler.js",
      "Math.max(earliestKnown, floor)",
      "earliestKnown",
    ]],
  },
  {
    name: "know on what changed before a reset",
    breaks: 6,
    patches: [[
      RESETTER,
      "() => changes?.suspend(instance);",
      "() => {};",
    ], [
      RESETTER,
      "changes?.restart(instance, from, now);",
      "{}",
    ]],
  },
  {
    name: "take a channel's next holder for the last one",
    breaks: 7,
    patches: [[
      FOLLOWER,
      "?.text !== holder)",
      "?.text === undefined)",
    ]],
  },
];

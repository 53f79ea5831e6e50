// The doors, name by name: what is added or taken away is added or taken away
// on purpose.

import { readFileSync } from "node:fs";
import t from "tap";
import * as face from "../mod.ts";
import * as admin from "../src/admin/mod.ts";
import * as events from "../src/events/mod.ts";
import * as http from "../src/http/mod.ts";
import * as projections from "../src/projections/mod.ts";
import * as protocol from "../src/protocol/mod.ts";
import * as slaved from "../src/slaved/mod.ts";
import * as caches from "../src/caches/mod.ts";
import * as telemetry from "../src/telemetry/mod.ts";
import * as testing from "../src/testing/mod.ts";
import * as transport from "../src/transport/mod.ts";
import * as writer from "../src/writer/mod.ts";
import { readSource } from "./support/source_text.ts";

const MAX_NAMES = 40;

t.test("headwater", (t) => {
  t.same(Object.keys(face).sort(), [
    "HeadwaterError",
    "SlavedStore",
    "Store",
    "VersionConflictError",
    "WaitTimeoutError",
    "WriterStore",
    "cached",
    "cachesStream",
    "defineAggregate",
    "defineCacheGroup",
    "defineStream",
    "eventsStream",
    "stderrLogger",
  ]);
  t.end();
});

t.test("headwater/writer", (t) => {
  t.same(Object.keys(writer).sort(), [
    "VersionConflictError",
    "WriterStore",
    "WriterTransaction",
    "redisChannel",
  ]);
  t.end();
});

t.test("headwater/slaved", (t) => {
  t.same(Object.keys(slaved).sort(), [
    "SlavedStore",
    "follow",
    "openRelay",
    "redisChannel",
  ]);
  t.end();
});

t.test("headwater/protocol", (t) => {
  t.same(Object.keys(protocol).sort(), [
    "PROTOCOL_VERSION",
    "defineCommand",
    "formatCommand",
    "formatCustom",
    "maySend",
    "parseCommand",
  ]);
  t.end();
});

t.test("headwater/testing and headwater/transport", (t) => {
  t.same(Object.keys(testing).sort(), [
    "FaultProxy",
    "SimulatedNetwork",
    "VirtualClock",
    "openFaultProxy",
    "seededRandom",
  ]);
  t.same(Object.keys(transport), ["LineError", "LineSplitter"]);
  t.end();
});

t.test("headwater/events, headwater/projections and headwater/admin", (t) => {
  t.same(Object.keys(events), ["defineAggregate"]);
  t.same(Object.keys(projections).sort(), [
    "ProjectionRunner",
    "defineProjection",
  ]);
  t.same(Object.keys(admin), ["openAdmin"]);
  t.end();
});

t.test("headwater/caches", (t) => {
  t.same(Object.keys(caches).sort(), [
    "CacheMemory",
    "ChangeCache",
    "DictionaryCache",
    "ResponseCache",
    "TtlCache",
    "cached",
    "cachedFunction",
    "cachedList",
    "cachedListFunction",
    "defineCacheGroup",
    "defineChangeCache",
  ]);
  t.end();
});

/** Types that signatures are made of: those who put them together name them. */
export type Named = [
  caches.CacheDecorator<[string]>,
  caches.CheckedInvalidation<["cache", [string]]>,
  caches.FitsSingle<[string[]], string, caches.CachedMethod>,
  caches.InvalidationKey<string>,
  caches.IsHalfKey<string>,
  caches.ItemArguments<[string[]]>,
  caches.LeavingDecorator<[0]>,
  caches.ListMethod<caches.CachesOwner, [string[]], string, string>,
  caches.Misfits<[string], "0">,
  writer.EventsRow & slaved.EventsRow,
  admin.Retained,
  writer.DatabaseOptions & slaved.DatabaseOptions,
  writer.DeclarationOptions & slaved.DeclarationOptions,
  writer.EndpointOptions,
  writer.EnvironmentOptions & slaved.EnvironmentOptions,
  writer.EventReads & slaved.EventReads,
  writer.Isolation,
  writer.KeepAliveOptions & slaved.KeepAliveOptions,
  writer.PostgresOptions & slaved.PostgresOptions,
  writer.ReadRowsOptions,
  writer.SqliteOptions & slaved.SqliteOptions,
  writer.StopListening,
  writer.StoreClass<unknown, face.Store<unknown>>,
  slaved.StoreClass<unknown, face.Store<unknown>>,
  writer.StreamOptions & slaved.StreamOptions,
  writer.StreamerStats,
  writer.Synchronous & slaved.Synchronous,
  writer.TableNameOptions & slaved.TableNameOptions,
  writer.Work<unknown, string>,
  writer.WriterCaches & writer.WriterCommands,
  slaved.SlavedCaches<unknown> & slaved.SlavedCommands,
];

t.test("headwater/telemetry", (t) => {
  t.same(Object.keys(telemetry), ["onTelemetry"]);
  t.end();
});

t.test("headwater/http", (t) => {
  t.same(Object.keys(http).sort(), ["isAuthorized", "listenHttp"]);
  t.end();
});

t.test("one thing has one identity, whichever door it is taken from", (t) => {
  t.equal(writer.WriterStore, face.WriterStore);
  t.equal(writer.VersionConflictError, face.VersionConflictError);
  t.equal(events.defineAggregate, face.defineAggregate);
  t.equal(slaved.SlavedStore, face.SlavedStore);
  t.equal(slaved.redisChannel, writer.redisChannel);
  t.end();
});

t.test("the face has few enough names to be read, types included", (t) => {
  const text = readFileSync(new URL("../mod.ts", import.meta.url), "utf8");
  const { code } = readSource(text);
  const names = [...code.matchAll(/\bexport\s+(?:type\s+)?\{([^}]*)\}/g)]
    .flatMap(([, list = ""]) => list.split(","))
    .map((name) => name.trim())
    .filter((name) => name !== "");
  t.equal(new Set(names).size, names.length, "none is there twice");
  for (const name of Object.keys(face)) t.ok(names.includes(name), name);
  t.ok(names.length <= MAX_NAMES, `${names.length} names`);
  t.end();
});

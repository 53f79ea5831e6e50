// The commands that look after a log, as processes: what they print for people
// and for programs, and their exit status.

import { hostname } from "node:os";
import process from "node:process";
import t from "tap";
import {
  change,
  DIALECTS,
  editRows,
  openWriter,
  writeSmallLog,
} from "../admin/small_log.ts";
import { run } from "./run.ts";

for (const dialect of DIALECTS) {
  t.test(`headwater positions on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    await openWriter(t, database, "third");
    await change(database, [
      "UPDATE headwater_instances SET expires_ms = 1234 WHERE name = 'second'",
    ]);
    const people = await run("positions", database);
    t.equal(people.status, 0);
    t.equal(people.stderr, "");
    const [head = "", ...others] = people.lines;
    t.match(head, /^INSTANCE +POSITION +LEASE +FENCE +HOST +PID$/);
    const who = `${hostname()} +${process.pid}`;
    t.match(others, [
      new RegExp(`^master +5  released +1  ${who}$`),
      new RegExp(`^second +7  expired at 1970-01-01T00:00:01.234Z +1  ${who}$`),
      new RegExp(
        `^third +0  held until 20\\d\\d-[-\\d]+T[:.\\d]+Z +1  ${who}$`,
      ),
      /^$/,
      /^The log is complete up to token 7\.$/,
    ]);
    const ends = [head, ...others.slice(0, 3)].map((line) =>
      line.indexOf(line.startsWith("INST") ? "HOST" : hostname())
    );
    t.equal(new Set(ends).size, 1, "columns are aligned");

    const programs = await run("positions", database, "--json");
    t.equal(programs.status, 0);
    t.match(programs.json(), [{
      horizon: 7,
      instances: [
        { name: "master", position: 5, lease: "released", fence: 1 },
        { name: "second", position: 7, lease: "expired", leaseEndsMs: 1234 },
        { name: "third", lease: "held", host: hostname(), pid: process.pid },
      ],
    }]);
  });

  t.test(`headwater verify on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    const sound = await run("verify", database);
    t.match(sound, { status: 0, stderr: "" });
    t.same(sound.lines, [
      "RECORDS  TRANSACTIONS  EVENTS  AGGREGATES  PROBLEMS",
      "      9             7       7           3         0",
    ]);
    const told = await run("verify", database, "--json", "--verbose");
    t.same(told.json(), [{
      records: 9,
      transactions: 7,
      events: 7,
      aggregates: 3,
      problemCount: 0,
    }]);
    t.match(
      told.stderr,
      /^{"step":"log","checked":9,"token":7,"lastToken":7}\n{"step":"aggregates"/,
    );

    await editRows(database, 4, "orders", ([a = ""]) => [a, "x"]);
    await change(database, [
      "DELETE FROM headwater_appends WHERE aggregate = 'user:5'",
      "UPDATE headwater_snapshots SET aggregate = 'a' || chr(27) || 'b'"
        .replace("chr", dialect === "sqlite" ? "char" : "chr"),
    ]);
    const spoilt = await run("verify", database);
    t.match(spoilt, { status: 1, stderr: "" });
    t.match(spoilt.lines, [
      /^TOKEN {2}CHECK {4}PROBLEM$/,
      /^ {4}2 {2}appends {2}token 2: no append has version 1 of "user:5"$/,
      /^ {4}4 {2}rows {5}token 4: row 2 of stream "orders" is no JSON: /,
      /^ {4}- {2}ahead {4}the snapshot of "a\\u001bb" by "count" has version 4/,
      /^$/,
      /^RECORDS /,
      / 3$/,
    ]);
    const programs = await run("verify", database, "--json");
    t.equal(programs.status, 1);
    t.match(programs.json(), [
      { check: "appends", token: 2, message: String },
      { check: "rows", token: 4, message: String },
      { check: "ahead", message: String },
      { records: 9, problemCount: 3 },
    ]);
  });

  t.test(`headwater retain on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    await change(database, [
      "UPDATE headwater_log SET committed_ms = 5 WHERE token = 1",
    ]);
    const defaults = await run("retain", database);
    t.match(defaults, { status: 0, stderr: "" });
    t.same(defaults.lines, [
      "STREAM  DELETED  FLOOR",
      "caches        1      1",
    ]);
    const age = ["--max-age", "1h", "--json"];
    const old = await run("retain", database, "--stream", "orders", ...age);
    t.same(old.json(), [{ stream: "orders", deleted: 1, floor: 1 }]);
    const rows = await run(
      "retain",
      database,
      "--stream",
      "orders",
      "--max-rows",
      "1",
      "--json",
    );
    t.same(rows.json(), [{ stream: "orders", deleted: 1, floor: 4 }]);
    t.match(await run("retain", database, "--stream", "order", ...age), {
      status: 2,
      stdout: "",
      stderr:
        /^headwater: Cannot retain stream "order": .* caches, events, orders\n$/,
    });
    t.match(await run("verify", database), { status: 0 });
  });

  t.test(`headwater projections on ${dialect}`, async (t) => {
    const database = await writeSmallLog(t, dialect);
    await change(database, [
      "INSERT INTO headwater_parked VALUES ('even', 0, 2, 0, 5, 'no', 7)",
      "UPDATE headwater_projections SET expires_ms = 1234 WHERE name = 'even'",
      "UPDATE headwater_projections SET rate = 2.5 WHERE name = 'behind'",
    ]);
    const rebuild = await run("projections", database, "rebuild", "behind");
    t.match(rebuild, { status: 0, stderr: "" });
    t.same(rebuild.lines, ['Projection "behind" is asked to be rebuilt.']);
    const retry = await run("projections", database, "retry", "even");
    t.same(retry.lines, [
      'Projection "even" is asked to retry 1 parked event.',
    ]);
    const list = await run("projections", database);
    t.match(list, { status: 0, stderr: "" });
    t.match(list.lines, [
      /^PROJECTION +VERSION +POSITION +DONE +TOTAL +ROWS\/S +LEFT +PARKED +HELD UNTIL +UPDATED$/,
      /^behind +1 +5 +5 +6 +3 +1 s +0 +- +-$/,
      /^ {2}rebuild +0 +6 +- +- +0$/,
      /^even +1 +6 +5 +5 +- +0 s +1 +1970-01-01T00:00:01\.234Z +-$/,
      /^inline +1 +inline +- +- +- +- +- +- +-$/,
    ]);
    const programs = await run("projections", database, "list", "--json");
    t.match(programs.json(), [
      {
        name: "behind",
        position: 5,
        done: 5,
        total: 6,
        rowsPerSecond: 2.5,
        secondsLeft: 0.4,
        parked: 0,
        rebuild: { done: 0, total: 6, secondsLeft: 0, parked: 0 },
      },
      { name: "even", position: 6, rebuild: null, parked: 1 },
      { name: "inline", position: null },
    ]);
    const parked = await run("projections", database, "parked", "even");
    t.match(parked.lines, [
      /^TOKEN +ORDINAL +ATTEMPTS +TABLES +PARKED +ERROR$/,
      /^ +2 +0 +to retry +serving +1970-01-01T00:00:00\.007Z +no$/,
    ]);
    const parkedJson = await run(
      "projections",
      database,
      "parked",
      "even",
      "--json",
    );
    t.same(parkedJson.json(), [{
      projection: "even",
      isRebuild: false,
      token: 2,
      ordinal: 0,
      attempts: 0,
      error: "no",
      parkedMs: 7,
    }]);
    const asked = await run("projections", database, "retry", "even", "--json");
    t.same(asked.json(), [{ name: "even", action: "retry", parked: 1 }]);
    const unknown = await run("projections", database, "rebuild", "none");
    t.match(unknown, {
      status: 1,
      stdout: "",
      stderr: /^headwater: Cannot rebuild projection "none": [^\n]*\n$/,
    });
  });
}

t.test("a database without a log", async (t) => {
  for (const name of ["positions", "log", "verify", "retain", "projections"]) {
    const outcome = await run(name, "sqlite:/no/such/folder/app.db");
    t.match(outcome, {
      status: 1,
      stdout: "",
      stderr: /^headwater: Cannot open database "\/no\/such[^\n]*\n$/,
    }, name);
  }
});

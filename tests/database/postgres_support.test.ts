// The servers that the tests of PostgreSQL run on.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import process from "node:process";
import postgres from "postgres";
import t from "tap";
import { until } from "../support/conditions.ts";
import {
  postgresDatabase,
  sharedPostgres,
  startPostgres,
  startReplica,
} from "../support/postgres.ts";

t.test("a server keeps what was written over every stop", async (t) => {
  const server = await startPostgres(t, { settings: { work_mem: "5MB" } });
  t.same(await server.run("show work_mem"), [["5MB"]]);
  t.same(await server.run("show fsync"), [["on"]]);
  const url = await server.createDatabase();
  t.not(url, await server.createDatabase());
  await server.run("create table things (id int, name text)", url);
  t.same(await server.run("insert into things values (1, 'a')", url), []);
  await server.restart();
  await server.run("insert into things values (2, 'b')", url);
  await server.stop("immediate");
  await t.rejects(server.run("select 1"), { code: "ECONNREFUSED" });
  await server.start();
  t.same(await server.run("select 1; select * from things", url), [
    [1, "a"],
    [2, "b"],
  ]);
});

t.test("terminateBackends() ends the connections that it is told", async (t) => {
  const server = await sharedPostgres();
  t.equal(await sharedPostgres(), server);
  const url = await postgresDatabase(t);
  const name = (application_name: string) =>
    postgres(url, {
      max: 1,
      onnotice: () => {},
      connection: { application_name },
    });
  const [one, two] = [name("one"), name("two")];
  t.teardown(() => Promise.all([one.end(), two.end()]));
  const pid = "select pg_backend_pid() as pid";
  const first = await Promise.all([one.unsafe(pid), two.unsafe(pid)]);
  t.equal(await server.terminateBackends(url, "application_name = 'one'"), 1);
  await until(
    "it is back",
    () => one.unsafe(pid).then(() => true, () => false),
  );
  t.not((await one.unsafe(pid))[0]?.pid, first[0][0]?.pid);
  t.equal((await two.unsafe(pid))[0]?.pid, first[1][0]?.pid);
  t.equal(await server.terminateBackends(url), 2);
});

t.test("the next test has a database as if it were new", async (t) => {
  const server = await sharedPostgres();
  const state = async (url: string) => [
    await server.run(
      `select nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp_'
        order by nspname`,
      url,
    ),
    await server.run("select relname from pg_class order by relname", url),
    await server.run("select current_setting('deadlock_timeout')", url),
  ];
  let used = "";
  let first: unknown;
  let closed: Promise<unknown> | undefined;
  await t.test("who leaves it in use", async (t) => {
    used = await postgresDatabase(t);
    first = await state(used);
    // What is asked by itself is not caught if the server goes meanwhile (3.4.9).
    const sql = postgres(used, { max: 1, fetch_types: false });
    await sql`create schema more`;
    await sql`create table more.things (id serial)`;
    await sql`create function public.one() returns int language sql as 'select 1'`;
    await sql.unsafe(
      `alter database ${new URL(used).pathname.slice(1)}
        set deadlock_timeout = '10ms'`,
    );
    await sql`begin`;
    await sql`lock table more.things`;
    closed = sql`select pg_sleep(60)`.catch(({ code }) => code);
    t.notSame(await state(used), first);
  });
  t.match(await closed, /57P01|CONNECTION_CLOSED/);
  t.equal(await postgresDatabase(t), used);
  t.same(await state(used), first);
});

t.test("a database that can't be emptied goes with its test", async (t) => {
  const server = await sharedPostgres();
  let url = "";
  await t.test("who locks it", async (t) => {
    url = await postgresDatabase(t);
    t.same(await server.run("select 1", url), [[1]]);
    const name = new URL(url).pathname.slice(1);
    await server.run(`alter database ${name} allow_connections false`);
  });
  await t.rejects(server.run("select 1", url), { code: "3D000" });
});

t.test("a replica follows, except while its replay is paused", async (t) => {
  const primary = await startPostgres(t);
  const url = await primary.createDatabase();
  await primary.run("create table things (id int)", url);
  const replica = await startReplica(t, primary);
  const sql = postgres(replica.urlOf(url), { max: 1 });
  t.teardown(() => sql.end());
  const count = async () => (await sql`select id from things`).count;
  const add = () => primary.run("insert into things values (1)", url);
  const position = async () =>
    (await primary.run(
      "select pg_current_wal_flush_lsn() <= flush_lsn from pg_stat_replication",
    ))[0]?.[0] === true;
  await add();
  await until("a row is there", async () => await count() === 1);
  await replica.pauseReplay();
  await add();
  await until("the replica has the row in its log", position);
  t.equal(await count(), 1, "which isn't seen");
  await replica.resumeReplay();
  await until("the other row is there", async () => await count() === 2);
  await t.rejects(sql`insert into things values (3)`, { code: "25006" });
  await replica.stop();
  await add();
  await t.rejects(sql`select 1`);
});

t.test("a server goes with its process, however that ends", async (t) => {
  const support = new URL("../support/postgres.ts", import.meta.url);
  const code = `
    const { sharedPostgres } = await import(${JSON.stringify(support.href)});
    const { folder, url } = await sharedPostgres();
    console.log(JSON.stringify({ folder, url }));`;
  const start = async (more: string) => {
    const args = "Deno" in globalThis
      ? ["eval", code + more]
      : ["--input-type=module", "--eval", code + more];
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.teardown(() => void child.kill("SIGKILL"));
    const ended = new Promise((resolve) => child.on("close", resolve));
    const [line] = await once(child.stdout, "data");
    const { folder, url } = JSON.parse(`${line}`);
    const isGone = async () => {
      const isRefused = connect(url).then(() => false, () => true);
      return !existsSync(folder) && await isRefused;
    };
    return { child, ended, isGone };
  };
  const connect = async (url: string) => {
    // What is asked by itself is not caught if the server goes meanwhile (3.4.9).
    const sql = postgres(url, { max: 1, fetch_types: false });
    await sql`select 1`.finally(() => sql.end());
  };
  const ending = await start("");
  t.equal(await ending.ended, 0, "a server doesn't keep its process");
  await until("its server is gone", ending.isGone);
  const killed = await start("setInterval(() => {}, 1_000);");
  t.notOk(await killed.isGone());
  process.kill(killed.child.pid as number, "SIGKILL");
  await until("the killed one's server is gone", killed.isGone);
});

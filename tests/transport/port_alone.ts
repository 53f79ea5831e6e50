// Opens stores over a port, closes them, and leaves the port open: a process
// that has nothing more to do ends.

import process from "node:process";
import { MessageChannel } from "node:worker_threads";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlavedStore, WriterStore } from "../../mod.ts";
import { openRelay } from "../../src/slaved/mod.ts";

const folder = mkdtempSync(join(tmpdir(), "headwater-test-"));
const database = `sqlite:${join(folder, "x.db")}`;
const direct = new MessageChannel();
const relayed = new MessageChannel();
const writer = await WriterStore.open({
  database,
  listen: ["memory:alone", direct.port1],
});
const relay = openRelay({ replicate: "memory:alone" });
await relay.serve(relayed.port1);
for (const replicate of [direct.port2, relayed.port2]) {
  const slaved = await SlavedStore.connect({ database, replicate });
  await slaved.close();
}
await relay.close();
await writer.close();
rmSync(folder, { recursive: true });
process.stdout.write('"closed"\n');

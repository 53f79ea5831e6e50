// Messages go to standard error, one JSON line each, from their level on.

import process from "node:process";
import t from "tap";
import { silentLogger, stderrLogger } from "../../src/runtime/logger.ts";

t.test("stderrLogger() writes JSON lines from its level on", (t) => {
  const lines: string[] = [];
  const write = process.stderr.write;
  process.stderr.write = (text) => lines.push(String(text)) > 0;
  try {
    const log = stderrLogger("warn");
    log("debug", "a");
    log("info", "b");
    log("warn", "c\nd", { token: 5 });
    log("error", "e");
    silentLogger("error", "f");
  } finally {
    process.stderr.write = write;
  }
  t.equal(lines.length, 2);
  t.ok(lines.every((line) => line.indexOf("\n") === line.length - 1));
  t.match(lines.map((line) => JSON.parse(line)), [
    { time: /^\d{4}-.*Z$/, level: "warn", message: "c\nd", token: 5 },
    { level: "error", message: "e" },
  ]);
  t.end();
});

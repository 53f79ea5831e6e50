// `headwater serve` and `headwater follow` over TLS and over a unix socket.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { createAuthority } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import { temporaryFolder } from "../support/folders.ts";
import { startProcess, type TestProcess } from "../support/processes.ts";

const command = new URL("../../src/cli/main.ts", import.meta.url);

interface Ready {
  readonly listen: string;
  readonly http: string;
}

async function serve(
  t: Test,
  ...args: readonly string[]
): Promise<Ready & { readonly process: TestProcess }> {
  const process = startProcess(t, command, [
    "serve",
    "--database",
    "sqlite::memory:",
    "--http",
    "0",
    "--stream",
    "notes",
    ...args,
  ]);
  return { process, ...await process.hear<Ready>("it is ready", () => true) };
}

/** Writes rows until a follower has heard one. */
async function hears(t: Test, http: string, follower: TestProcess) {
  await until("a row is heard", async () => {
    const response = await fetch(`${http}/v1/transactions`, {
      method: "POST",
      body: JSON.stringify({ rows: { notes: ["a note"] } }),
    });
    await response.body?.cancel();
    return follower.messages.length > 0;
  });
  t.match(follower.messages[0], { stream: "notes", rows: ["a note"] });
}

t.test("over TLS, each with a certificate", async (t) => {
  const folder = temporaryFolder(t);
  const authority = createAuthority();
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const ca = file("ca", authority.ca);
  const server = authority.issue(["db.example"]);
  const client = authority.issue(["me"]);
  const { listen, http } = await serve(
    t,
    "--listen",
    "tls://127.0.0.1:0",
    "--tls-key",
    file("key", server.key),
    "--tls-cert",
    file("cert", server.cert),
    "--tls-ca",
    ca,
    "--tls-require-client-certificate",
  );
  t.match(listen, /^tls:\/\/127\.0\.0\.1:\d+$/);
  const follower = startProcess(t, command, [
    "follow",
    listen,
    "--tls-ca",
    ca,
    "--tls-key",
    file("client_key", client.key),
    "--tls-cert",
    file("client_cert", client.cert),
    "--tls-server-name",
    "db.example",
  ]);
  await hears(t, http, follower);
});

t.test("over a unix socket", async (t) => {
  const path = `unix:${join(temporaryFolder(t), "s")}`;
  const { listen, http, process } = await serve(t, "--listen", path);
  t.equal(listen, path);
  const follower = startProcess(t, command, ["follow", path]);
  await hears(t, http, follower);
  process.signal("SIGTERM");
  t.equal(await process.ended, 0);
});

t.test("beyond loopback, if it is asked for", async (t) => {
  const { listen } = await serve(
    t,
    "--listen",
    "tcp://0.0.0.0:0",
    "--allow-plaintext",
  );
  t.match(listen, /^tcp:\/\/0\.0\.0\.0:\d+$/);
});

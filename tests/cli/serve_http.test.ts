// `headwater serve --http`: rows that are posted there, and followers that
// fetch them there, a foreign one among them.

import t, { type Test } from "tap";
import { temporaryDatabase } from "../support/folders.ts";
import { startProcess } from "../support/processes.ts";
import { command, run } from "./run.ts";

interface Ready {
  readonly listen: string;
  readonly http: string;
}

async function serve(t: Test, ...args: string[]): Promise<Ready> {
  const server = startProcess(t, command, [
    ...["serve", "--database", temporaryDatabase(t)],
    ...["--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"],
    ...args,
  ]);
  return await server.hear<Ready>("it is ready", () => true);
}

const UPDATES = "/_synapse/replication/get_repl_stream_updates";

t.test("a follower catches up over HTTP", async (t) => {
  const names = ["--server-name", "localhost", "--stream", "receipts"];
  const { http } = await serve(t, ...names);
  const post = (body: unknown) =>
    fetch(`${http}/v1/transactions`, {
      method: "POST",
      body: JSON.stringify(body),
    });
  const tokens: number[] = [];
  for (let index = 0; index < 3; index += 1) {
    const rows = { receipts: [["!room", "m.read", "@user", `$${index}`, {}]] };
    const { token } = await (await post({ rows })).json() as { token: number };
    tokens.push(token);
  }
  const query = `from_token=${tokens[0]}&upto_token=${tokens[2]}`;
  const response = await fetch(
    `${http}${UPDATES}/receipts/abcdefghij?${query}`,
  );
  t.same(await response.json(), {
    updates: [
      [tokens[1], ["!room", "m.read", "@user", "$1", {}]],
      [tokens[2], ["!room", "m.read", "@user", "$2", {}]],
    ],
    upto_token: tokens[2],
    limited: false,
  });
  const unknown = await fetch(`${http}${UPDATES}/presence/x?${query}`);
  t.equal(unknown.status, 400);
  t.match(await unknown.json(), { errcode: "M_UNKNOWN" });
});

t.test("--http-secret is asked for everywhere but at /health", async (t) => {
  const { http } = await serve(t, "--http-secret", "s3cret");
  const status = async (path: string, secret?: string) => {
    const headers = secret === undefined
      ? {}
      : { authorization: `Bearer ${secret}` };
    const response = await fetch(`${http}${path}`, { headers });
    t.notMatch(await response.text(), /s3cret/);
    return response.status;
  };
  const updates = `${UPDATES}/caches/x?from_token=0&upto_token=0`;
  for (const path of ["/v1/positions", updates]) {
    t.equal(await status(path), 401, path);
    t.equal(await status(path, "other"), 401, path);
    t.equal(await status(path, "s3cret"), 200, path);
  }
  t.equal(await status("/health"), 200);
});

t.test("--http beyond this machine needs a secret, or to be told so", async (t) => {
  const base = [
    ...["serve", "--database", temporaryDatabase(t)],
    ...["--listen", "tcp://127.0.0.1:0", "--http", "0.0.0.0:0"],
  ];
  const { status, stderr } = await run(...base);
  t.not(status, 0);
  t.match(stderr, /whoever can reach it could read and write/);
  const server = startProcess(t, command, [...base, "--allow-plaintext"]);
  const { http } = await server.hear<Ready>("it is ready", () => true);
  t.match(http, /^http:\/\/0\.0\.0\.0:\d+$/);
});

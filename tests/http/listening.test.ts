// Where requests are taken, and from whom.

import { connect } from "node:net";
import t, { type Test } from "tap";
import { WriterStore } from "../../mod.ts";
import type { WriterStoreOptions } from "../../src/writer/mod.ts";
import { HttpClient } from "../../src/http/http_client.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TlsOptions } from "../../src/transport/transport.ts";
import { makeCertificates } from "../support/certificates.ts";
import { until } from "../support/conditions.ts";
import type { TestDatabase } from "../support/stores.ts";

async function open(
  t: Test,
  options: Partial<WriterStoreOptions>,
): Promise<WriterStore<TestDatabase>> {
  const writer = await WriterStore.open<TestDatabase>({
    database: "sqlite::memory:",
    ...options,
  });
  t.teardown(() => writer.close());
  return writer;
}

t.test("an address that others can reach needs a guard", async (t) => {
  const error = { code: "INVALID_ARGUMENT" };
  for (
    const http of ["http://0.0.0.0:0", "http://[::]:0", "http://10.0.0.1:0"]
  ) {
    await t.rejects(open(t, { http }), {
      ...error,
      message: /whoever can reach it could read and write; .*secret/,
    }, http);
  }
  const guarded = await open(t, { http: "http://0.0.0.0:0", httpSecret: "s" });
  t.match(guarded.httpUrl, /^http:\/\/0\.0\.0\.0:\d+$/);
  await open(t, { http: "http://0.0.0.0:0", allowPlaintext: true });
  const own = await open(t, { http: "http://localhost:0" });
  t.match(own.httpUrl, /^http:\/\/localhost:\d+$/);
});

t.test("what can't be an address is refused", async (t) => {
  const secret = "p4ssword";
  for (
    const http of [
      "nonsense",
      "tcp://127.0.0.1:1",
      "http://127.0.0.1:1/path",
      "http://127.0.0.1:1/?query",
      `http://user:${secret}@127.0.0.1:1`,
    ]
  ) {
    const failed = await open(t, { http }).then(() => undefined, (e) => e);
    t.match(failed, { code: "INVALID_ARGUMENT" }, http);
    t.notMatch(failed.message, new RegExp(secret));
  }
  for (const options of [{ httpSecret: "" }, { http: "https://127.0.0.1:0" }]) {
    const http = "http://127.0.0.1:0";
    await t.rejects(open(t, { http, ...options }), {
      code: "INVALID_ARGUMENT",
    });
  }
  const first = await open(t, { http: "http://127.0.0.1:0" });
  await t.rejects(open(t, { http: String(first.httpUrl) }), {
    code: "LISTEN_FAILED",
    message: /the port is in use/,
  });
});

t.test("TLS, with client certificates instead of a secret", async (t) => {
  const { ca, server, client } = makeCertificates();
  const writer = await open(t, {
    http: "https://127.0.0.1:0",
    tls: { ...server, ca, requestCert: true },
  });
  const ask = async (tls?: TlsOptions) => {
    const url = String(writer.httpUrl);
    const asking = new HttpClient({ url, tls, clock: systemClock });
    try {
      const answer = await asking.send({
        method: "GET",
        path: "/_synapse/replication/get_repl_stream_updates/caches/x" +
          "?from_token=0&upto_token=0",
        timeoutMs: 10_000,
      });
      return answer.status;
    } finally {
      asking.close();
    }
  };
  t.match(writer.httpUrl, /^https:/);
  t.equal(await ask({ ca, ...client }), 200);
  await t.rejects(ask({ ca }), "without a certificate");
  await t.rejects(ask(client), "an unknown authority");
  const other = makeCertificates().client;
  await t.rejects(ask({ ca, ...other }), "another authority's certificate");
  t.equal(await ask({ ca, ...client }), 200, "it is still there");
});

t.test("bodies are bounded, in length and in time", async (t) => {
  const writer = await open(t, {
    http: "http://127.0.0.1:0",
    maxBodyBytes: 1000,
    requestTimeoutMs: 1_000,
  });
  const path = "/_headwater/call/nothing/0123456789abcdef";
  const long = await fetch(`${writer.httpUrl}${path}`, {
    method: "POST",
    body: JSON.stringify({ args: "x".repeat(1000) }),
  });
  t.equal(long.status, 413);
  await long.text();

  const { port } = new URL(String(writer.httpUrl));
  const socket = connect(Number(port), "127.0.0.1");
  t.teardown(() => socket.destroy());
  let answer = "";
  socket.on("data", (chunk) => answer += chunk);
  socket.on("error", () => {});
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{`,
  );
  await until("the slow one is told", () => answer.includes("\r\n\r\n"));
  t.match(answer, /^HTTP\/1\.1 408 /);
});

t.test("requests can come by way of another server", async (t) => {
  const writer = await open(t, { httpSecret: "s" });
  t.equal(writer.httpUrl, undefined);
  const url = "http://x/_synapse/replication/get_repl_stream_updates/caches/x" +
    "?from_token=0&upto_token=0";
  t.equal((await writer.fetch(new Request(url))).status, 401);
  const headers = { authorization: "Bearer s" };
  t.equal((await writer.fetch(new Request(url, { headers }))).status, 200);
});

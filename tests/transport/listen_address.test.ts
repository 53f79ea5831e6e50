// Rows are not given to a network in the clear by mistake.

import { MessageChannel } from "node:worker_threads";
import t from "tap";
import { WriterStore } from "../../mod.ts";
import { requireSafeListening } from "../../src/transport/listen_address.ts";
import { createAuthority } from "../support/certificates.ts";

const { key, cert } = createAuthority().issue();

t.test("loopback, files, threads and memory are fine", (t) => {
  const { port1 } = new MessageChannel();
  for (
    const address of [
      "tcp://127.0.0.1:0",
      "tcp://127.1.2.3:8823",
      "tcp://localhost:8823",
      "tcp://LOCALHOST:8823",
      "tcp://:8823",
      "tcp://[::1]:8823",
      "tcp://[::ffff:127.0.0.1]:8823",
      "unix:/run/headwater",
      "memory:x",
      port1,
    ]
  ) {
    t.doesNotThrow(() => requireSafeListening(address, {}), String(address));
  }
  port1.close();
  t.end();
});

t.test("everything else needs TLS, or to be asked for", (t) => {
  for (
    const host of [
      "0.0.0.0",
      "[::]",
      "192.168.0.1",
      "10.0.0.1",
      "128.0.0.1",
      "db.example.com",
      "localhost.example.com",
      "127.0.0.1.example.com",
      "[::ffff:10.0.0.1]",
    ]
  ) {
    t.throws(() => requireSafeListening(`tcp://${host}:8823`, {}), {
      code: "INVALID_ARGUMENT",
      message: `Cannot listen on tcp://${host}:8823: whoever can reach it ` +
        "could read every row, and so could whoever listens in; give " +
        "tls://HOST:PORT with tls: { key, cert }, or allowPlaintext: true " +
        "on a network of your own",
    }, host);
    t.doesNotThrow(() =>
      requireSafeListening(`tcp://${host}:1`, { allowPlaintext: true })
    );
    t.doesNotThrow(() =>
      requireSafeListening(`tls://${host}:1`, { tls: { key, cert } })
    );
    t.throws(() => requireSafeListening(`tls://${host}:1`, { tls: { cert } }), {
      code: "INVALID_ARGUMENT",
      message: /: no key; give tls/,
    });
  }
  t.end();
});

t.test("a writer store asks before it opens anything", async (t) => {
  for (const listen of ["tcp://0.0.0.0:0", ["memory:a", "tcp://0.0.0.0:0"]]) {
    await t.rejects(
      WriterStore.open({ database: "sqlite:/no/such/folder/x.db", listen }),
      { code: "INVALID_ARGUMENT", message: /allowPlaintext: true/ },
    );
  }
  const writer = await WriterStore.open({
    database: "sqlite::memory:",
    listen: ["tcp://0.0.0.0:0", "memory:listen_address"],
    allowPlaintext: true,
  });
  t.match(writer.urls, [/^tcp:\/\/0\.0\.0\.0:\d+$/, "memory:listen_address"]);
  t.equal(writer.url, writer.urls[0]);
  await writer.close();
});

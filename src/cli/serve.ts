/**
 * `headwater serve`: a writer on its own.
 *
 * @module
 */

import process from "node:process";
import { Command, Option } from "commander";
import { z } from "zod";
import { defineStream, HeadwaterError, stderrLogger } from "../../mod.ts";
import { type HttpServer, listenHttp } from "../http/mod.ts";
import { WriterStore } from "../writer/mod.ts";
import {
  type DatabaseCommandOptions,
  withTableNames,
} from "./database_options.ts";
import { createApp } from "./http.ts";
import { stopRequested } from "./signals.ts";
import {
  readTls,
  type TlsCommandOptions,
  withServerTls,
} from "./tls_options.ts";

interface ServeOptions extends DatabaseCommandOptions, TlsCommandOptions {
  readonly database: string;
  readonly listen: string;
  readonly allowPlaintext?: boolean;
  readonly http?: string;
  readonly httpSecret?: string;
  readonly instance: string;
  readonly serverName: string;
  readonly stream: readonly string[];
  readonly streamPrefix?: string;
  readonly synapseCompatible?: boolean;
  readonly synchronous: "full" | "normal";
  readonly verbose?: boolean;
}

/** The `serve` command. */
export function serveCommand(): Command {
  const command = new Command("serve")
    .description("write a database's log, and serve it to readers")
    .requiredOption(
      "--database <url>",
      "sqlite:FILE, sqlite::memory: or postgres://USER@HOST/DATABASE",
    )
    .requiredOption(
      "--listen <url>",
      "where readers connect: tcp://HOST:PORT or tls://HOST:PORT, port 0 for any that is free; unix:PATH; or redis://HOST:PORT",
    )
    .option(
      "--allow-plaintext",
      "let tcp, and http without a secret, listen beyond loopback: whoever reaches them reads every row",
    )
    .option("--http <host:port>", "where to take requests; loopback by default")
    .addOption(
      new Option(
        "--http-secret <secret>",
        "what requests must carry, as Authorization: Bearer",
      ).env("HEADWATER_HTTP_SECRET"),
    )
    .option("--instance <name>", "the name to write under", "master")
    .option("--server-name <name>", "the server's name to readers", "headwater")
    .option(
      "--stream <name>",
      "declare a stream whose rows are any JSON; may be repeated",
      (name, names: readonly string[]) => [...names, name],
      [] as readonly string[],
    )
    .option(
      "--stream-prefix <text>",
      "what the built-in streams' names begin with on the wire",
    )
    .option(
      "--synapse-compatible",
      "let Synapse's workers (1.22-1.66) listen: lines of 16384 bytes at most",
    )
    .addOption(
      new Option(
        "--synchronous <mode>",
        "SQLite: how hard commits are pressed on the disk",
      )
        .choices(["full", "normal"]).default("full"),
    )
    .option("--verbose", "log what happens, not only what goes wrong")
    .action(serve);
  return withTableNames(withServerTls(command));
}

async function serve(options: ServeOptions): Promise<void> {
  // Asked for first, so that a stop while it opens is not lost.
  const stop = stopRequested();
  const { httpSecret } = options;
  const url = options.http === undefined
    ? undefined
    : parseHttpAddress(options.http);
  const logger = stderrLogger(options.verbose ? "debug" : "warn");
  await using writer = await WriterStore.open<Record<string, never>>({
    database: options.database,
    listen: options.listen,
    tls: readTls(options),
    allowPlaintext: options.allowPlaintext,
    instance: options.instance,
    serverName: options.serverName,
    synapseCompatible: options.synapseCompatible,
    synchronous: options.synchronous,
    tablePrefix: options.tablePrefix,
    schema: options.schema,
    // Any JSON: what is none, the writer refuses by itself.
    streams: options.stream.map((name) => defineStream(name, z.unknown())),
    streamPrefix: options.streamPrefix,
    httpSecret,
    logger,
  });
  let http: HttpServer | undefined;
  try {
    if (url !== undefined) {
      const { fetch } = createApp(writer, logger, httpSecret);
      http = await listenHttp(fetch, {
        url,
        secret: httpSecret,
        allowPlaintext: options.allowPlaintext,
      });
    }
    const ready = {
      ready: true,
      listen: writer.url,
      ...(http === undefined ? {} : { http: http.url }),
      instance: writer.instance,
    };
    // Nobody has to read it.
    process.stdout.on("error", () => {});
    process.stdout.write(`${JSON.stringify(ready)}\n`);
    await stop;
  } finally {
    await http?.close();
  }
}

function parseHttpAddress(text: string): string {
  const match = /^(?:(\[[^\]]+\]|[^:[\]]*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot use --http ${JSON.stringify(text)}: give HOST:PORT`,
    );
  }
  return `http://${match[1] || "127.0.0.1"}:${port}`;
}

/**
 * Keys and certificates, from files.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { HeadwaterError } from "../../mod.ts";
import type { TlsOptions } from "../slaved/mod.ts";

/** What a command is told of TLS. */
export interface TlsCommandOptions {
  readonly tlsKey?: string;
  readonly tlsCert?: string;
  readonly tlsCa?: string;
  readonly tlsRequireClientCertificate?: boolean;
  readonly tlsServerName?: string;
}

/** Lets a command that listens be told of TLS. */
export function withServerTls(command: Command): Command {
  return command
    .option("--tls-key <file>", "tls: the private key, as PEM")
    .option("--tls-cert <file>", "tls: the certificate, as PEM")
    .option("--tls-ca <file>", "tls: whose client certificates to take, as PEM")
    .option(
      "--tls-require-client-certificate",
      "tls: turn away readers without a certificate",
    );
}

/** Lets a command that connects be told of TLS. */
export function withClientTls(command: Command): Command {
  return command
    .option("--tls-ca <file>", "tls: whose certificates to trust, as PEM")
    .option("--tls-cert <file>", "tls: the certificate to show, as PEM")
    .option("--tls-key <file>", "tls: its private key, as PEM")
    .option(
      "--tls-server-name <name>",
      "tls: the name that the writer's certificate must have",
    );
}

/**
 * Reads the files that a command was told of.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, naming the file.
 */
export function readTls(options: TlsCommandOptions): TlsOptions {
  return {
    key: readPem("--tls-key", options.tlsKey),
    cert: readPem("--tls-cert", options.tlsCert),
    ca: readPem("--tls-ca", options.tlsCa),
    requestCert: options.tlsRequireClientCertificate,
    servername: options.tlsServerName,
  };
}

function readPem(option: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot read ${option} ${JSON.stringify(file)}: ${
        (error as { code?: string }).code
      }; give a PEM file`,
      { cause: error },
    );
  }
}

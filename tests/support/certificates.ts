// Certificates for tests: an authority, a server's and a client's, for loopback.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { temporaryFolder } from "./folders.ts";

/** A certificate and its key: PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** What a test of TLS needs. */
export interface Certificates {
  /** The authority's certificate. */
  readonly ca: string;
  readonly server: Certificate;
  readonly client: Certificate;
}

/** Makes them anew, with the system's openssl. */
export function makeCertificates(t: Test): Certificates {
  const folder = temporaryFolder(t);
  const openssl = (...args: readonly string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  openssl(
    ...["req", "-x509", ...newKey, "-nodes", "-days", "2"],
    ...["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority"],
  );
  writeFileSync(
    join(folder, "extensions"),
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE",
  );
  const sign = (name: string): Certificate => {
    const [key, request, cert] = [`${name}.key`, `${name}.csr`, `${name}.crt`];
    openssl(
      ...["req", ...newKey, "-nodes", "-keyout", key, "-out", request],
      ...["-subj", `/CN=${name}`],
    );
    openssl(
      ...["x509", "-req", "-in", request, "-CA", "ca.crt", "-CAkey", "ca.key"],
      ...["-CAcreateserial", "-out", cert, "-days", "2"],
      ...["-extfile", "extensions"],
    );
    return { cert: read(cert), key: read(key) };
  };
  return { ca: read("ca.crt"), server: sign("server"), client: sign("client") };
}

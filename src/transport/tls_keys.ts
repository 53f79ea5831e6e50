/**
 * Keys and certificates, checked before anything is opened with them. What they
 * hold is in no error: the reasons of the crypto library are not handed on.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { HeadwaterError } from "../runtime/errors.ts";
import { requireNames } from "../runtime/option_names.ts";
import { TLS_OPTIONS, type TlsOptions } from "./transport.ts";

/** Keys and certificates as texts, as sockets take them. */
export interface PemTexts {
  readonly key: string | undefined;
  readonly cert: string | undefined;
  readonly ca: string[] | undefined;
}

const decoder = new TextDecoder();

/**
 * Makes texts of keys and certificates that can be used.
 *
 * @param url What they are for.
 * @throws {HeadwaterError} `INVALID_ARGUMENT`, naming the option.
 */
export function readKeys(url: string, tls: TlsOptions): PemTexts {
  requireNames(`use ${url}`, TLS_OPTIONS, tls);
  const key = toText(tls.key);
  const cert = toText(tls.cert);
  const ca = tls.ca === undefined
    ? undefined
    : [tls.ca].flat().map((each) => toText(each) ?? "");
  for (const each of ca ?? []) {
    if (parseCertificate(each) === undefined) throw keyError(url, "ca");
  }
  if (key === undefined && cert === undefined) return { key, cert, ca };
  requireKey(url, tls);
  const certificate = parseCertificate(cert);
  if (certificate === undefined) throw keyError(url, "cert");
  const fits = fitsTo(certificate, key ?? "", tls.passphrase);
  if (fits === undefined) throw keyError(url, "key");
  if (!fits) throw keyError(url, "key", "is not the certificate's");
  return { key, cert, ca };
}

/**
 * Refuses to listen without a key and a certificate, or without knowing whose
 * certificates readers are to have: not just anybody's.
 *
 * @throws {HeadwaterError} `INVALID_ARGUMENT`.
 */
export function requireListeningKeys(url: string, tls: TlsOptions): void {
  requireNames(`use ${url}`, TLS_OPTIONS, tls);
  requireKey(url, tls);
  if (!tls.requestCert || tls.ca !== undefined) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use ${url}: readers must have a certificate, and it is not said ` +
      "whose; give tls: { ca } as PEM",
  );
}

function requireKey(url: string, { key, cert }: TlsOptions): void {
  if (key !== undefined && cert !== undefined) return;
  throw new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use ${url}: no ${
      key === undefined ? "key" : "certificate"
    }; give tls: { key, cert } as PEM`,
  );
}

function toText(pem: string | Uint8Array | undefined): string | undefined {
  return pem instanceof Uint8Array ? decoder.decode(pem) : pem;
}

function parseCertificate(pem: string | undefined) {
  try {
    return pem === undefined ? undefined : new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** Whether a key is a certificate's; `undefined` if it can't be read. */
function fitsTo(
  certificate: X509Certificate,
  key: string,
  passphrase: string | undefined,
): boolean | undefined {
  try {
    const options = passphrase === undefined ? { key } : { key, passphrase };
    return certificate.checkPrivateKey(createPrivateKey(options));
  } catch {
    return undefined;
  }
}

function keyError(
  url: string,
  option: "ca" | "cert" | "key",
  problem = "can't be read",
): HeadwaterError {
  const kind = option === "key" ? "a private key" : "a certificate";
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot use ${url}: tls.${option} ${problem}; give ${kind} as PEM`,
  );
}

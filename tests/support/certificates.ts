// Keys and certificates that are made as a test begins, and end with the day:
// X.509 as far as TLS needs it, written in DER by hand.

import { Buffer } from "node:buffer";
import {
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";

/** A certificate and its key, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Gives certificates. */
export interface Authority {
  /** What others must know it by, as PEM. */
  readonly ca: string;
  /** Makes a certificate for `localhost` and 127.0.0.1, or for other names. */
  issue(names?: readonly string[]): Certificate;
}

const DAY_MS = 86_400_000;
const ECDSA_WITH_SHA256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME = [0x55, 0x04, 0x03];
const BASIC_CONSTRAINTS = [0x55, 0x1d, 0x13];
const ALTERNATIVE_NAMES = [0x55, 0x1d, 0x11];

/** Makes an authority of its own. */
export function createAuthority(): Authority {
  const name = `test authority ${randomBytes(4).toString("hex")}`;
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const isAuthority = sequence(Buffer.of(0x01, 0x01, 0xff));
  const signing = { issuer: name, signer: pair.privateKey };
  return {
    ca: certify({
      ...signing,
      subject: name,
      subjectKey: pair.publicKey,
      extension: [BASIC_CONSTRAINTS, isAuthority],
    }),
    issue(names = ["localhost", "127.0.0.1"]) {
      const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return {
        cert: certify({
          ...signing,
          subject: names[0] ?? "nobody",
          subjectKey: own.publicKey,
          extension: [ALTERNATIVE_NAMES, sequence(...names.map(generalName))],
        }),
        key: own.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      };
    },
  };
}

interface Certified {
  readonly issuer: string;
  readonly signer: KeyObject;
  readonly subject: string;
  readonly subjectKey: KeyObject;
  readonly extension: readonly [id: readonly number[], value: Buffer];
}

function certify(
  { issuer, signer, subject, subjectKey, extension: [id, value] }: Certified,
): string {
  const algorithm = sequence(der(0x06, Buffer.from(ECDSA_WITH_SHA256)));
  const now = Date.now();
  const isCritical = id === BASIC_CONSTRAINTS
    ? Buffer.of(0x01, 0x01, 0xff)
    : Buffer.alloc(0);
  const extension = sequence(
    der(0x06, Buffer.from(id)),
    isCritical,
    der(0x04, value),
  );
  // Its first byte is not 0, so that the number is written as it must be.
  const serial = Buffer.concat([Buffer.of(0x01), randomBytes(8)]);
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, serial),
    algorithm,
    commonName(issuer),
    sequence(time(now - DAY_MS), time(now + DAY_MS)),
    commonName(subject),
    subjectKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(extension)),
  );
  const signature = sign("sha256", body, signer);
  const whole = sequence(
    body,
    algorithm,
    der(0x03, Buffer.concat([Buffer.of(0), signature])),
  );
  const lines = whole.toString("base64").match(/.{1,64}/g)?.join("\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function commonName(name: string): Buffer {
  return sequence(
    der(
      0x31,
      sequence(der(0x06, Buffer.from(COMMON_NAME)), der(0x0c, name)),
    ),
  );
}

function generalName(name: string): Buffer {
  return /^[\d.]+$/.test(name)
    ? der(0x87, Buffer.from(name.split(".").map(Number)))
    : der(0x82, name);
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\D/g, "");
  return der(0x17, `${digits.slice(2, 14)}Z`);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function der(tag: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  const { length } = bytes;
  const header = length < 0x80
    ? [tag, length]
    : length < 0x100
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), bytes]);
}

/** An authority, a server's certificate and a client's. */
export function makeCertificates(): {
  readonly ca: string;
  readonly server: Certificate;
  readonly client: Certificate;
} {
  const { ca, issue } = createAuthority();
  return { ca, server: issue(), client: issue(["client"]) };
}

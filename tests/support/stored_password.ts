// A password as PostgreSQL keeps it.

import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/** As RFC 5803 has it, hashed but once: each connection has to repeat that. */
export function storedPassword(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 1, 32, "sha256");
  const key = (name: string) =>
    createHmac("sha256", salted).update(name).digest();
  const stored = createHash("sha256").update(key("Client Key")).digest();
  const [first, ...keys] = [salt, stored, key("Server Key")]
    .map((bytes) => bytes.toString("base64"));
  return `SCRAM-SHA-256$1:${first}$${keys.join(":")}`;
}

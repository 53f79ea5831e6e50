/**
 * The secret that requests carry.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";

/**
 * Whether a request may come in. How long the comparison takes tells nothing of
 * the secret.
 *
 * @param authorization The request's `Authorization` header.
 * @param secret What must stand there after `Bearer `; `undefined` if anybody may.
 */
export function isAuthorized(
  authorization: string | undefined,
  secret: string | undefined,
): boolean {
  if (secret === undefined) return true;
  const match = /^Bearer +(.+)$/i.exec(authorization ?? "");
  return timingSafeEqual(digest(match?.[1] ?? ""), digest(secret)) &&
    match !== null;
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

/**
 * One user at one process.
 *
 * @module
 */

import { requireField } from "../protocol/fields.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";
import { MAX_ID_CHARS } from "../runtime/limits.ts";

/** A user, by device where that is told. */
export interface UserSession {
  readonly userId: string;
  readonly deviceId: string | null;
}

/** Characters of both ids. The rest is for the process's own, and the space between. */
const MAX_SESSION_CHARS = MAX_ID_CHARS - 128;

/** The literal that the wire has for no device. */
const NO_DEVICE = "None";

/**
 * A session that can be told on the wire.
 *
 * @throws {HeadwaterError} `LINE_INVALID` for an id that can't stand between
 *   spaces; `LINE_TOO_LONG` for ids that no writer would take in. A line of them
 *   may be one that cuts the connection, and is told on the next one again.
 */
export function toSession(
  userId: string,
  deviceId: string | undefined,
): UserSession {
  requireField(userId, "a user id");
  if (deviceId !== undefined) requireField(deviceId, "a device id");
  const chars = userId.length + (deviceId?.length ?? 0);
  if (chars > MAX_SESSION_CHARS) {
    throw new HeadwaterError(
      "LINE_TOO_LONG",
      `Cannot tell of user ${quote(userId)}: the ids of user and device have ` +
        `${chars} characters; give at most ${MAX_SESSION_CHARS}`,
    );
  }
  if (deviceId === undefined) return { userId, deviceId: null };
  if (deviceId !== NO_DEVICE) return { userId, deviceId };
  throw new HeadwaterError(
    "LINE_INVALID",
    `Cannot send "${NO_DEVICE}" as a device id: on the wire it stands for no ` +
      "device; give another",
  );
}

/** Tells sessions of one process apart: ids hold no spaces. */
export function keyOf({ userId, deviceId }: UserSession): string {
  return deviceId === null ? userId : `${userId} ${deviceId}`;
}

/** What is said of one user too many. */
export function tooManyUsers(userId: string, maxUsers: number): HeadwaterError {
  return new HeadwaterError(
    "TOO_MANY_USERS",
    `Cannot tell of user ${quote(userId)}: ${maxUsers} are known to be ` +
      "present; end some, or raise maxPresentUsers",
  );
}

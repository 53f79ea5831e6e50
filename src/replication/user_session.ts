/**
 * One user at one process.
 *
 * @module
 */

import { requireField } from "../protocol/fields.ts";
import { HeadwaterError, quote } from "../runtime/errors.ts";

/** A user, by device where that is told. */
export interface UserSession {
  readonly userId: string;
  readonly deviceId: string | null;
}

/** The literal that the wire has for no device. */
const NO_DEVICE = "None";

/**
 * A session that can be told on the wire.
 *
 * @throws {HeadwaterError} `LINE_INVALID` for an id that can't stand between spaces.
 */
export function toSession(
  userId: string,
  deviceId: string | undefined,
): UserSession {
  requireField(userId, "a user id");
  if (deviceId === undefined) return { userId, deviceId: null };
  requireField(deviceId, "a device id");
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

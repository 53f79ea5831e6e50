/**
 * How far an instance's commits reach.
 *
 * @module
 */

import type { Session } from "../database/engine.ts";
import type { Token } from "../tokens/token.ts";
import { readFloor } from "./history.ts";
import { readLastToken } from "./instances.ts";

/**
 * The token beyond which an instance has committed nothing: its last one, or
 * where retention has got to, which may have deleted that one. Tokens are
 * announced once they are committed: one that lies beyond is another log's, or
 * was lost.
 *
 * @param session The log itself: a copy of it may lag behind what is announced.
 * @param instance Who wrote.
 */
export async function readReach(
  session: Session,
  instance: string,
): Promise<Token> {
  const last = await readLastToken(session, instance);
  // In this order: what was deleted meanwhile is below the floor.
  const floor = await readFloor(session);
  return floor > last ? floor : last;
}

// The lives of parts that are used without their store.

import { HeadwaterError } from "../../src/runtime/errors.ts";
import { Lifetime } from "../../src/runtime/lifetime.ts";

/** One that has begun. */
export function openLife(): Lifetime {
  return new Lifetime((action) => new HeadwaterError("CLOSED", action));
}

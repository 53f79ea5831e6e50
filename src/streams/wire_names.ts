/**
 * What streams are called on the wire.
 *
 * @module
 */

import { HeadwaterError, quote } from "../runtime/errors.ts";
import { isName } from "./stream.ts";
import { cachesStream, eventsStream } from "./builtin_streams.ts";

/** Names on the wire, and in the log and everywhere else. */
export interface WireNames {
  /** What a stream is called on the wire. */
  toWire(stream: string): string;
  /** The stream of a name on the wire. */
  fromWire(name: string): string;
}

const OWN = [cachesStream.name, eventsStream.name];

/** Begins no declared name: what follows is another's stream of the same name. */
const FOREIGN = "?";

/**
 * Gives the built-in streams a prefix on the wire, so that they can't be taken
 * for a foreign server's streams of the same names.
 *
 * @param prefix The prefix; `""` for none.
 * @param declared The user's streams.
 * @throws {HeadwaterError} `INVALID_ARGUMENT` if a prefixed name can't be one, or
 *   is a declared stream's.
 */
export function createWireNames(
  prefix: string,
  declared: ReadonlySet<string>,
): WireNames {
  if (prefix === "") return { toWire: same, fromWire: same };
  const wire = new Map(OWN.map((name) => [name, `${prefix}${name}`]));
  const own = new Map(OWN.map((name) => [`${prefix}${name}`, name]));
  for (const name of wire.values()) {
    if (!isName(name)) throw prefixError(prefix);
    if (declared.has(name)) throw takenError(prefix, name);
  }
  return {
    toWire: (stream) => wire.get(stream) ?? stream,
    fromWire: (name) =>
      own.get(name) ?? (wire.has(name) ? `${FOREIGN}${name}` : name),
  };
}

function same(name: string): string {
  return name;
}

function prefixError(prefix: unknown): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot open a store: streamPrefix is ${quote(String(prefix))}; give a ` +
      'letter or "_", then letters, digits, "_", "." or "-", 57 characters at most',
  );
}

function takenError(prefix: string, name: string): HeadwaterError {
  return new HeadwaterError(
    "INVALID_ARGUMENT",
    `Cannot open a store: with streamPrefix ${
      quote(prefix)
    } a built-in stream ` +
      `has the name of your stream "${name}"; give another prefix`,
  );
}

// One end of a connection, and what has happened to it.

import type {
  AcceptConnection,
  Connection,
} from "../../../src/transport/transport.ts";
import { until } from "../../support/conditions.ts";

/** One end of a connection, and what has happened to it so far. */
export interface End {
  readonly connection: Connection;
  text: string;
  /** Texts that it was given which were no whole lines. */
  readonly torn: string[];
  readonly errors: { readonly code?: string; readonly message: string }[];
  closes: number;
  /** What it was told after it had failed or was closed. */
  readonly late: string[];
  /** Called with each piece of text. */
  onReceived: (lines: string) => void;
  onClosed: () => void;
  /** Resolves once it has text that ends so. */
  has(ending: string): Promise<void>;
  /** Resolves once it is closed. */
  closed(): Promise<void>;
}

/** Gives connections a handler that notes everything. */
export function watch(take: (end: End) => void): AcceptConnection {
  return (connection) => {
    const end: End = {
      connection,
      text: "",
      torn: [],
      errors: [],
      closes: 0,
      late: [],
      onReceived: () => {},
      onClosed: () => {},
      has: (ending) =>
        until(
          `${JSON.stringify(ending.slice(-40))} has come`,
          () => end.text.endsWith(ending),
        ),
      closed: () => until("it is closed", () => end.closes > 0),
    };
    take(end);
    return {
      received(lines) {
        if (end.closes + end.errors.length > 0) end.late.push(lines);
        if (!lines.endsWith("\n")) end.torn.push(lines);
        end.text += lines;
        end.onReceived(lines);
      },
      failed(error) {
        if (end.closes > 0) end.late.push(error.message);
        end.errors.push(error);
      },
      closed() {
        end.closes += 1;
        end.onClosed();
      },
    };
  };
}

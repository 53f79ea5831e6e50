/**
 * A simulated connection, as a test sees it.
 *
 * @module
 */

/** Which end of a connection. */
export type Side = "client" | "server";

/** A connection between two hosts. */
export interface NetworkLink {
  /** Where the server listens. */
  readonly address: string;
  /** The host that has connected. */
  readonly client: string;
  /** The host that has accepted. */
  readonly server: string;
  /** Whether nothing passes for now. */
  readonly isStalled: boolean;
  /** Whether nothing can pass any more, whoever has noticed. */
  readonly isGone: boolean;
  /** Whether both ends know that it is gone. */
  readonly isOver: boolean;
  /** Loses what is under way. Both ends notice, or only the one that is named. */
  cut(noticedBy?: Side): void;
  /** Holds up what is sent in either direction; for good, unless `ms` is given. */
  stall(ms?: number): void;
  /** Lets what was held up arrive. */
  resume(): void;
}

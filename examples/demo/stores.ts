/**
 * The demo's tables and reads. Every value carries the version of the write
 * that made it, and versions only grow: that is how an old one is told.
 *
 * @module
 */

import { cached, Store } from "headwater";

export const USERS = 5_000;
export const ROOMS = 200;
export const HOSTS = 5;
export const SETTINGS = 100;

interface Versioned {
  id: number;
  version: number;
}

export interface Database {
  demo_users: Versioned & { name: string };
  demo_rooms: Versioned;
  /** `id` is `room * HOSTS + host`. */
  demo_room_hosts: Versioned;
  demo_settings: Versioned;
}

/** Which of the tables a check is about. */
export type Table = keyof Database;

/** The reads of which every process has the same. */
export interface DemoReads {
  getUser(user: string): Promise<number>;
  getUsersInRoom(room: string): Promise<number>;
  isHostJoined(room: string, host: string): Promise<number>;
  getSetting(setting: number): Promise<number>;
}

abstract class VersionedStore extends Store<Database> {
  protected async readVersion(table: Table, id: number): Promise<number> {
    const { version } = await this.db.selectFrom(table).select("version")
      .where("id", "=", id).executeTakeFirstOrThrow();
    return version;
  }
}

/** All the reads, cached. */
export class DemoStore extends VersionedStore implements DemoReads {
  @cached({ maxEntries: 10_000, name: "get_user" })
  getUser(user: string): Promise<number> {
    return this.readVersion("demo_users", numberIn(user));
  }

  @cached({ maxEntries: 1_000, name: "get_users_in_room" })
  getUsersInRoom(room: string): Promise<number> {
    return this.readVersion("demo_rooms", numberIn(room));
  }

  @cached({ maxEntries: 5_000, name: "is_host_joined" })
  isHostJoined(room: string, host: string): Promise<number> {
    const id = numberIn(room) * HOSTS + numberIn(host);
    return this.readVersion("demo_room_hosts", id);
  }

  @cached({ maxEntries: 1_000, name: "get_setting" })
  getSetting(setting: number): Promise<number> {
    return this.readVersion("demo_settings", setting);
  }
}

/**
 * The same reads, for `--break`: nobody else knows these caches' names, so
 * that invalidations of them never come.
 */
export class BrokenStore extends VersionedStore implements DemoReads {
  @cached({ maxEntries: 10_000, name: "broken_user" })
  getUser(user: string): Promise<number> {
    return this.readVersion("demo_users", numberIn(user));
  }

  @cached({ maxEntries: 1_000, name: "broken_room" })
  getUsersInRoom(room: string): Promise<number> {
    return this.readVersion("demo_rooms", numberIn(room));
  }

  @cached({ maxEntries: 5_000, name: "broken_host" })
  isHostJoined(room: string, host: string): Promise<number> {
    const id = numberIn(room) * HOSTS + numberIn(host);
    return this.readVersion("demo_room_hosts", id);
  }

  @cached({ maxEntries: 1_000, name: "broken_setting" })
  getSetting(setting: number): Promise<number> {
    return this.readVersion("demo_settings", setting);
  }
}

/** `@user17:host2` → 17, `!room3` → 3, `host2` → 2. */
function numberIn(name: string): number {
  return Number(/\d+/.exec(name)?.[0]);
}

export const userName = (user: number): string =>
  `@user${user}:host${user % HOSTS}`;
export const roomName = (room: number): string => `!room${room}`;
export const hostName = (host: number): string => `host${host}`;

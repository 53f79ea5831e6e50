/**
 * Every command: how it is read, how it is written, and who may send it.
 *
 * @module
 */

import { encodeJson } from "../runtime/json.ts";
import type { Command, CommandKind, CommandMap, Dialect } from "./command.ts";
import {
  invalidLine,
  isField,
  isNumber,
  parseJsonField,
  parseMsField,
  parseTokenField,
  requireField,
  splitFields,
} from "./fields.ts";
import { formatInvalidate, parseInvalidate } from "./invalidations.ts";
import { formatRdataPrefix, parseRdata } from "./rdata.ts";

/** Who says a command on a connection of two ends. On a shared channel anybody may. */
export type Senders = "server" | "client" | "both" | "nobody";

/** One command of the wire. */
export interface CommandEntry<C extends Command> {
  readonly senders: Senders;
  /** The first dialect that has it; `"tcp"` by default. */
  readonly since?: Dialect | undefined;
  /**
   * Reads what follows the name.
   *
   * @throws {HeadwaterError} `LINE_INVALID`, quoting the line.
   */
  parse(rest: string, line: string): C;
  /** Writes what follows the name and a space. */
  format(command: C, dialect: Dialect): string;
}

/** What REPLICATE asks for besides. */
const INVALIDATE: CommandKind = "INVALIDATE";

/** What stands before the log that it reads. */
const LOG = "LOG=";

/** The literal that stands for no device. */
const NO_DEVICE = "None";

/** All commands, by name. */
export const COMMANDS: {
  readonly [Kind in CommandKind]: CommandEntry<CommandMap[Kind]>;
} = {
  SERVER: {
    senders: "server",
    parse: (rest) => ({ kind: "SERVER", name: rest }),
    format: ({ name }) => name,
  },
  RDATA: {
    senders: "server",
    parse: parseRdata,
    format: ({ stream, instance, token, row }) =>
      formatRdataPrefix(stream, instance, token).slice("RDATA ".length) + row,
  },
  POSITION: {
    senders: "server",
    parse: parsePosition,
    format: ({ stream, instance, previous, token }) =>
      `${stream} ${instance} ${previous} ${token}`,
  },
  INVALIDATE: {
    senders: "server",
    parse: parseInvalidate,
    format: formatInvalidate,
  },
  ERROR: {
    senders: "both",
    parse: (rest) => ({ kind: "ERROR", text: rest }),
    format: ({ text }) => text,
  },
  PING: {
    senders: "both",
    parse: (rest) => ({ kind: "PING", text: rest }),
    format: ({ text }) => text,
  },
  NAME: {
    senders: "client",
    parse: (rest) => ({ kind: "NAME", name: rest }),
    format: ({ name }) => name,
  },
  REPLICATE: {
    senders: "client",
    // Before 1.13 it had arguments, and later versions pass over any.
    parse: (rest) => {
      const words = rest.split(" ");
      const log = words.find((word) => word.startsWith(LOG));
      return {
        kind: "REPLICATE",
        ...(words.includes(INVALIDATE) ? { takesInvalidate: true } : {}),
        ...(log === undefined ? {} : { logId: log.slice(LOG.length) }),
      };
    },
    format: ({ takesInvalidate, logId }) => {
      const words: string[] = takesInvalidate ? [INVALIDATE] : [];
      if (logId !== undefined) {
        words.push(LOG + requireField(logId, "a log's identity"));
      }
      return words.join(" ");
    },
  },
  USER_SYNC: {
    senders: "client",
    parse: parseUserSync,
    format: formatUserSync,
  },
  CLEAR_USER_SYNC: {
    senders: "client",
    parse: (rest, line) => ({
      kind: "CLEAR_USER_SYNC",
      instanceId: onlyField(rest, line, "CLEAR_USER_SYNC"),
    }),
    format: ({ instanceId }) => requireField(instanceId, "a process's id"),
  },
  FEDERATION_ACK: {
    senders: "client",
    parse: parseFederationAck,
    format: ({ instance, token }) =>
      `${requireField(instance, "an instance")} ${token}`,
  },
  REMOTE_SERVER_UP: {
    senders: "both",
    parse: (rest, line) => ({
      kind: "REMOTE_SERVER_UP",
      serverName: onlyField(rest, line, "REMOTE_SERVER_UP"),
    }),
    format: ({ serverName }) => requireField(serverName, "a server's name"),
  },
  USER_IP: {
    senders: "client",
    parse: parseUserIp,
    format: (command) =>
      `${requireField(command.userId, "a user id")} ${
        encodeJson([
          command.accessToken,
          command.ip,
          command.userAgent,
          command.deviceId,
          command.lastSeenMs,
        ])
      }`,
  },
  LOCK_RELEASED: {
    senders: "both",
    since: "current",
    parse: parseLockReleased,
    format: ({ instance, lockName, lockKey }) =>
      encodeJson([instance, lockName, lockKey]),
  },
  NEW_ACTIVE_TASK: {
    senders: "nobody",
    since: "current",
    parse: (rest) => ({ kind: "NEW_ACTIVE_TASK", taskId: rest }),
    format: ({ taskId }) => taskId,
  },
  CANCEL_TASK: {
    senders: "nobody",
    since: "current",
    parse: (rest) => ({ kind: "CANCEL_TASK", taskId: rest }),
    format: ({ taskId }) => taskId,
  },
  COMMANDS: {
    senders: "client",
    parse: parseCommands,
    format: ({ instanceId, names }) =>
      `${requireField(instanceId, "a process's id")} ${encodeJson(names)}`,
  },
  SHARED: {
    senders: "server",
    parse: () => ({ kind: "SHARED" }),
    format: () => "",
  },
  HELD: {
    senders: "nobody",
    parse: parseHeld,
    format: ({ instance, holder }) =>
      `${requireField(instance, "an instance")} ${
        requireField(holder, "a holder")
      }`,
  },
};

/** Whether a name is that of a command in the table. */
export function isCommandKind(name: string): name is CommandKind {
  return Object.hasOwn(COMMANDS, name);
}

function parsePosition(rest: string, line: string): CommandMap["POSITION"] {
  const [stream, instance, first, second, ...more] = rest.split(" ");
  if (!stream || !instance || !first || more.length > 0) {
    throw invalidLine(line, "POSITION has four fields");
  }
  const previous = parseTokenField(first, line);
  // Before Synapse 1.22 there was one token, which stands for both.
  const token = second === undefined ? previous : parseTokenField(second, line);
  return { kind: "POSITION", stream, instance, previous, token };
}

function parseHeld(rest: string, line: string): CommandMap["HELD"] {
  const fields = rest.split(" ");
  const [instance = "", holder = ""] = fields;
  if (fields.length !== 2 || !fields.every(isField)) {
    throw invalidLine(line, "HELD has two fields");
  }
  return { kind: "HELD", instance, holder };
}

function parseUserSync(rest: string, line: string): CommandMap["USER_SYNC"] {
  const fields = rest.split(" ");
  const hasDevice = fields.length === 5;
  const [instanceId, userId] = fields;
  const [state, ms] = fields.slice(-2);
  const isComplete = fields.length === 4 || hasDevice;
  if (
    !isComplete || !fields.every(isField) || !instanceId || !userId || !ms
  ) throw invalidLine(line, "USER_SYNC has four or five fields");
  if (state !== "start" && state !== "end") {
    throw invalidLine(line, "a state is start or end");
  }
  const device = hasDevice ? fields[2] : undefined;
  return {
    kind: "USER_SYNC",
    instanceId,
    userId,
    deviceId: device === undefined || device === NO_DEVICE ? null : device,
    isSyncing: state === "start",
    lastSyncMs: parseMsField(ms, line),
  };
}

function formatUserSync(
  { instanceId, userId, deviceId, isSyncing, lastSyncMs }:
    CommandMap["USER_SYNC"],
  dialect: Dialect,
): string {
  const fields = [
    requireField(instanceId, "a process's id"),
    requireField(userId, "a user id"),
  ];
  if (dialect === "current") {
    fields.push(
      deviceId === null ? NO_DEVICE : requireField(deviceId, "a device id"),
    );
  }
  fields.push(isSyncing ? "start" : "end", String(lastSyncMs));
  return fields.join(" ");
}

function parseFederationAck(
  rest: string,
  line: string,
): CommandMap["FEDERATION_ACK"] {
  const [instance, token, ...more] = rest.split(" ");
  if (!instance || !isField(instance) || !token || more.length > 0) {
    throw invalidLine(line, "FEDERATION_ACK has two fields");
  }
  return {
    kind: "FEDERATION_ACK",
    instance,
    token: parseTokenField(token, line),
  };
}

function parseUserIp(rest: string, line: string): CommandMap["USER_IP"] {
  const [userId, json] = splitFields(rest, 2);
  if (!userId || !isField(userId) || json === undefined) {
    throw invalidLine(line, "USER_IP has two fields");
  }
  const list = parseJsonField(json, line, "the second field");
  const [accessToken, ip, userAgent, deviceId, lastSeenMs] = Array.isArray(list)
    ? list as unknown[]
    : [];
  if (
    typeof accessToken !== "string" || typeof ip !== "string" ||
    typeof userAgent !== "string" || !isNumber(lastSeenMs) ||
    (typeof deviceId !== "string" && deviceId !== null)
  ) {
    throw invalidLine(
      line,
      "the second field is not [access token, ip, user agent, device, ms]",
    );
  }
  return {
    kind: "USER_IP",
    userId,
    accessToken,
    ip,
    userAgent,
    deviceId,
    lastSeenMs,
  };
}

function parseLockReleased(
  rest: string,
  line: string,
): CommandMap["LOCK_RELEASED"] {
  const list = parseJsonField(rest, line, "what follows LOCK_RELEASED");
  const [instance, lockName, lockKey] = Array.isArray(list)
    ? list as unknown[]
    : [];
  if (
    typeof instance !== "string" || typeof lockName !== "string" ||
    typeof lockKey !== "string"
  ) {
    throw invalidLine(
      line,
      "what follows LOCK_RELEASED is not [instance, lock name, lock key]",
    );
  }
  return { kind: "LOCK_RELEASED", instance, lockName, lockKey };
}

function parseCommands(rest: string, line: string): CommandMap["COMMANDS"] {
  const [instanceId, json] = splitFields(rest, 2);
  if (!instanceId || !isField(instanceId) || json === undefined) {
    throw invalidLine(line, "COMMANDS has two fields");
  }
  const names = parseJsonField(json, line, "the second field");
  if (
    !Array.isArray(names) || !names.every((name) => typeof name === "string")
  ) {
    throw invalidLine(line, "the second field is not a list of names");
  }
  return { kind: "COMMANDS", instanceId, names };
}

function onlyField(rest: string, line: string, name: string): string {
  if (isField(rest)) return rest;
  throw invalidLine(line, `${name} has one field`);
}

// Sees the messages between a writer and PostgreSQL go by. A socket's writes
// hold whole messages, as postgres.js makes them.

import { Buffer } from "node:buffer";
import { Socket } from "node:net";
import { markedWrite } from "./commit_points.ts";
import { die, type Trap } from "./commit_points_trap.ts";

/** One of the client's messages: a letter, a length and a body. */
interface Message {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** What is known of a connection. */
interface Watched {
  /** The statements that it has prepared. */
  readonly statements: Map<string, string>;
  /** The write whose transaction is open. */
  write?: number | undefined;
  /** Whether that is given to the log. */
  isLogged: boolean;
  /** Dies, once the server has answered the log's statement. */
  awaitsLog: boolean;
  /** Nothing is passed on any more. */
  isCut: boolean;
}

const HEADER_BYTES = 5;
const COMMITTED = Buffer.from("C\0\0\0\x0bCOMMIT\0", "latin1");
const READY = Buffer.from("Z\0\0\0\x05T", "latin1");
const DATA = /^insert into "users"/;
const LOG = /INSERT INTO headwater_log/;

type Emit = (...args: unknown[]) => boolean;
type Write = (bytes: Uint8Array, done?: () => void) => boolean;

/** Passes every point of the messages to and from the server at this port. */
export function watchPostgres(trap: Trap, port: number): void {
  const all = new WeakMap<Socket, Watched>();
  const socket = Socket.prototype;
  const { write, emit } = socket;
  socket.write = function (this: Socket, ...args: unknown[]) {
    if (this.remotePort !== port) return (write as Emit).apply(this, args);
    const watched = all.get(this) ??
      {
        statements: new Map(),
        isLogged: false,
        awaitsLog: false,
        isCut: false,
      };
    all.set(this, watched);
    if (watched.isCut) return true;
    const bytes = args[0] as Buffer;
    const pass = write.bind(this) as Write;
    for (const message of messagesOf(bytes)) {
      passMessage(trap, watched, message, bytes, pass);
    }
    return watched.isCut ? true : (write as Emit).apply(this, args);
  };
  socket.emit = function (this: Socket, ...args: unknown[]) {
    const watched = args[0] === "data" ? all.get(this) : undefined;
    if (watched !== undefined) {
      passAnswer(trap, watched, args[1] as Buffer);
      // It is to die in ignorance of what the server says.
      if (watched.isCut) return true;
    }
    return (emit as Emit).apply(this, args);
  };
}

function passMessage(
  trap: Trap,
  watched: Watched,
  { type, start, end, text }: Message,
  bytes: Buffer,
  pass: Write,
): void {
  if (type === "P") {
    const [name = "", sql = ""] = text.split("\0");
    watched.statements.set(name, sql);
  }
  if (type === "B") {
    const sql = watched.statements.get(text.split("\0")[1] as string) ?? "";
    const isLog = LOG.test(sql);
    const write = isLog || DATA.test(sql) ? markedWrite(text) : undefined;
    if (write === undefined) return;
    watched.write = write;
    if (!isLog) return trap.pass("before a row of data", write);
    trap.pass("between the data and the log", write);
    watched.isLogged = true;
    if (!trap.isSprung("amid the log")) return;
    watched.isCut = true;
    const half = bytes.subarray(0, Math.floor((start + end) / 2));
    pass(half, () => die("amid the log", write));
  }
  const { write } = watched;
  if (type !== "Q" || text !== "COMMIT\0" || write === undefined) return;
  if (!watched.isLogged) return;
  if (trap.isSprung("before COMMIT")) {
    watched.isCut = true;
    // The first time the log's statement has left before, and is answered.
    if (start === 0) return die("before COMMIT", write);
    watched.awaitsLog = true;
    pass(bytes.subarray(0, start));
  }
  if (trap.isSprung("COMMIT sent")) {
    watched.isCut = true;
    pass(bytes, () => die("COMMIT sent", write));
  }
}

function passAnswer(trap: Trap, watched: Watched, bytes: Buffer): void {
  const { write, isLogged, awaitsLog } = watched;
  if (write === undefined || !isLogged) return;
  if (awaitsLog && bytes.includes(READY)) die("before COMMIT", write);
  if (watched.isCut || !bytes.includes(COMMITTED)) return;
  watched.isLogged = false;
  trap.pass("after COMMIT", write);
}

function* messagesOf(bytes: Buffer): Generator<Message> {
  // The first one, which says who connects, has no letter.
  if (bytes[0] === 0) return;
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    end = start + 1 + bytes.readUInt32BE(start + 1);
    yield {
      type: String.fromCharCode(bytes[start] as number),
      start,
      end,
      text: bytes.toString("latin1", start + HEADER_BYTES, end),
    };
  }
}

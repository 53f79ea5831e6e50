/**
 * What workers may have a writer do.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { z } from "zod";
import {
  type CallAnswer,
  CallInvalid,
  CallRefusal,
  requireCallId,
} from "../http/call_wire.ts";
import type { Session } from "../database/engine.ts";
import {
  findCallToken,
  readCall,
  storeCall,
  type StoredCall,
} from "../log/calls.ts";
import { readLastToken } from "../log/instances.ts";
import type { Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf, quote } from "../runtime/errors.ts";
import { encodeJson, requireJson } from "../runtime/json.ts";
import { MAX_BODY_BYTES } from "../runtime/limits.ts";
import type { Random } from "../runtime/random.ts";
import { askSchema } from "../runtime/schemas.ts";
import { formatPath } from "../streams/rows.ts";
import { isName } from "../streams/stream.ts";
import type { Commit } from "../tokens/position.ts";
import type { Token } from "../tokens/token.ts";
import type { OwnRunOptions, OwnWork } from "./transaction_runner.ts";
import type { WriterTransaction } from "./writer_transaction.ts";

/**
 * Executes a call in a transaction. What it returns is the call's result, and
 * must be JSON; what it throws is told to the caller, and rolls back. It may be
 * run again, like any transaction's function.
 */
export type CallHandler<Database, Args> = (
  txn: WriterTransaction<Database>,
  args: Args,
) => Promise<unknown>;

/** What exposed calls work with. */
export interface ExposedCallsOptions<Database> {
  readonly instance: string;
  /** Who holds that name, as text: this process. */
  readonly holder: string;
  readonly session: Session;
  readonly position: () => Token;
  readonly transaction: (
    name: string,
    work: OwnWork<Database, string>,
    options: OwnRunOptions,
  ) => Promise<Commit<string>>;
  /** Calls that run at a time. */
  readonly maxRunningCalls: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** Checks a call's arguments, and gives what is to be done. */
type Prepare<Database> = (
  args: unknown,
) => (txn: WriterTransaction<Database>) => Promise<unknown>;

/**
 * Executes calls, each id once: the answer is stored with what the call has
 * changed, in one transaction, and whoever asks again is given it.
 */
export class ExposedCalls<Database> {
  readonly #options: ExposedCallsOptions<Database>;
  readonly #calls = new Map<string, Prepare<Database>>();
  /** By id: one that comes again while it runs waits for the first. */
  readonly #running = new Map<string, [string, Promise<CallAnswer>]>();

  /** Constructs one that exposes nothing. */
  constructor(options: ExposedCallsOptions<Database>) {
    this.#options = options;
  }

  /**
   * Lets workers call something.
   *
   * @throws {HeadwaterError} `INVALID_ARGUMENT` for a name that can't be, or is taken.
   */
  expose<Args>(
    name: string,
    schema: z.ZodType<Args>,
    handler: CallHandler<Database, Args>,
  ): void {
    if (!isName(name) || this.#calls.has(name)) {
      throw new HeadwaterError(
        "INVALID_ARGUMENT",
        `Cannot expose ${quote(String(name))}: ` +
          (isName(name)
            ? "it is exposed already; give it another name"
            : 'give a letter or "_", then up to 63 letters, digits, "_", "." or "-"'),
      );
    }
    this.#calls.set(name, (args) => {
      const checked = askSchema(() => `call "${name}"`, schema, args);
      if (checked.success) return (txn) => handler(txn, checked.data);
      const problems = checked.error.issues.map(({ path, message }) =>
        `args${formatPath(path)}: ${message}`
      );
      throw new CallInvalid(
        "INVALID_ARGUMENT",
        `Cannot call "${name}": ${problems.slice(0, 5).join("; ")}`,
      );
    });
  }

  /**
   * Executes a call, or gives the answer that it was given before.
   *
   * @throws {HeadwaterError} `CALL_UNKNOWN`, `INVALID_ARGUMENT`, `CALL_REFUSED`,
   *   `DATABASE_BUSY`, or what the handler threw.
   */
  call(name: string, id: string, args: unknown): Promise<CallAnswer> {
    const prepare = this.#calls.get(name);
    if (prepare === undefined) return Promise.reject(this.#unknown(name));
    const digest = digestOf(name, args);
    const running = this.#running.get(id);
    if (running !== undefined) {
      return running[0] === digest
        ? running[1]
        : Promise.reject(takenError(name, id));
    }
    const { maxRunningCalls } = this.#options;
    if (this.#running.size >= maxRunningCalls) {
      return Promise.reject(busyError(name, `${maxRunningCalls} calls run`));
    }
    const answer = this.#execute(name, id, digest, () => prepare(args))
      .finally(() => this.#running.delete(id));
    this.#running.set(id, [digest, answer]);
    return answer;
  }

  async #execute(
    name: string,
    id: string,
    digest: string,
    prepare: () => ReturnType<Prepare<Database>>,
  ): Promise<CallAnswer> {
    const { session, transaction, position, instance, holder, random } =
      this.#options;
    requireCallId(name, id);
    const work = prepare();
    const stored = await readCall(session, id);
    if (stored !== undefined) return await this.#repeat(name, digest, stored);
    const call = { id, instance, digest, commitId: random.id() };
    const after = position();
    try {
      const { token, result } = await transaction(
        `call ${name}`,
        async (txn, session) => {
          const response = await this.#respond(name, () => work(txn));
          await this.#store(session, { ...call, after, response });
          return response;
        },
        { commitId: call.commitId },
      );
      return { instance, token, holder, response: result };
    } catch (error) {
      if (!(error instanceof HeadwaterError)) {
        // The application's own errors have nothing but a message to travel.
        throw new CallRefusal(name, messageOf(error), { cause: error });
      }
      if (!(error instanceof Repeated)) throw error;
      const other = await readCall(session, id);
      if (other === undefined) throw busyError(name, "it was just forgotten");
      return await this.#repeat(name, digest, other);
    }
  }

  async #respond(
    name: string,
    work: () => Promise<unknown>,
  ): Promise<string> {
    const result = await work() ?? null;
    requireJson(result, `result of call "${name}"`);
    const response = encodeJson(result);
    if (response.length <= MAX_BODY_BYTES / 2) return response;
    throw new CallRefusal(
      name,
      `its result has ${response.length} bytes; return less`,
    );
  }

  async #store(session: Session, call: StoredCall): Promise<void> {
    const nowMs = Math.round(this.#options.clock.wallMs());
    if (!await storeCall(session, call, nowMs)) throw new Repeated();
  }

  async #repeat(
    name: string,
    digest: string,
    stored: StoredCall,
  ): Promise<CallAnswer> {
    if (stored.digest !== digest) throw takenError(name, stored.id);
    const { session, position, holder } = this.#options;
    const { instance, response } = stored;
    // Its record may have been deleted: then it lies behind that writer's last.
    const found = await findCallToken(session, stored);
    if (instance === this.#options.instance) {
      return { instance, token: found ?? position(), holder, response };
    }
    // Another instance's holders are not known here.
    const token = found ?? await readLastToken(session, instance);
    return { instance, token, response };
  }

  #unknown(name: string): HeadwaterError {
    const known = [...this.#calls.keys()];
    if (known.length === 0) {
      // A writer that has just begun: in a moment it will have exposed them.
      return busyError(name, "this writer has exposed nothing yet");
    }
    return new CallInvalid(
      "CALL_UNKNOWN",
      `Cannot call ${quote(name)}: what is exposed is ${known.join(", ")}`,
    );
  }
}

/** Another process has executed the call meanwhile: this one must not commit. */
class Repeated extends HeadwaterError {
  constructor() {
    super("CALL_REFUSED", "The call has been executed by another process");
  }
}

function digestOf(name: string, args: unknown): string {
  const text = JSON.stringify([name, args]);
  return createHash("sha256").update(text).digest("hex");
}

function takenError(name: string, id: string): HeadwaterError {
  return new CallInvalid(
    "INVALID_ARGUMENT",
    `Cannot call "${name}" with the id "${id}": another call had it; give each ` +
      "call an id of its own",
  );
}

function busyError(name: string, state: string): HeadwaterError {
  return new HeadwaterError(
    "DATABASE_BUSY",
    `Cannot call "${name}": ${state}; try again`,
  );
}

/**
 * What a writer answers to other processes.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import type { CancelTimer, Clock } from "../runtime/clock.ts";
import { HeadwaterError, messageOf } from "../runtime/errors.ts";
import { MAX_BODY_BYTES, REQUEST_TIMEOUT_MS } from "../runtime/limits.ts";
import type { Logger } from "../runtime/logger.ts";
import { isAuthorized } from "./bearer.ts";
import { CALL_PATH, type CallAnswer, describeFailure } from "./call_wire.ts";
import {
  formatError,
  parseTokenParameter,
  readUpdates,
  type UpdatesSource,
} from "./read_updates.ts";

/** What an endpoint works with. */
export interface ReplicationAppOptions {
  readonly source: UpdatesSource;
  /** Runs a call, once an id. */
  readonly call: (
    name: string,
    id: string,
    args: unknown,
  ) => Promise<CallAnswer>;
  /** What requests must carry; `undefined` if anybody may ask. */
  readonly secret: string | undefined;
  readonly maxBodyBytes?: number | undefined;
  readonly requestTimeoutMs?: number | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const JSON_TYPE = { "content-type": "application/json" };

const callBody = z.strictObject({ args: z.unknown() });

/** Makes the endpoint. */
export function createReplicationApp(options: ReplicationAppOptions): Hono {
  const { source, secret, logger, maxBodyBytes = MAX_BODY_BYTES } = options;
  const app = new Hono();
  app.use(async (c, next) => {
    const authorization = c.req.header("authorization");
    if (isAuthorized(authorization, secret)) return await next();
    const isMissing = authorization === undefined;
    logger("warn", "request refused: it lacks the secret", { isMissing });
    return refuse(
      c,
      401,
      isMissing ? "M_MISSING_TOKEN" : "M_UNKNOWN_TOKEN",
      "UNAUTHORIZED",
      isMissing
        ? "Cannot answer: the request carries no secret; send it as Authorization: Bearer"
        : "Cannot answer: the request carries another secret; give both sides the same",
    );
  });
  app.use(bodyLimit({
    maxSize: maxBodyBytes,
    onError: (c) =>
      refuse(
        c,
        413,
        "M_TOO_LARGE",
        "INVALID_ARGUMENT",
        `Cannot take the request: its body has more than ${maxBodyBytes} bytes`,
      ),
  }));
  app.get(
    "/_synapse/replication/get_repl_stream_updates/:stream/:txn?",
    async (c) => {
      const after = parseTokenParameter(c.req.query("from_token"));
      const upTo = parseTokenParameter(c.req.query("upto_token"));
      if (after === undefined || upTo === undefined) {
        return refuse(
          c,
          400,
          "M_INVALID_PARAM",
          "INVALID_ARGUMENT",
          "Cannot read updates: give from_token and upto_token as integers",
        );
      }
      const name = c.req.param("stream");
      const updates = await readUpdates(source, name, after, upTo);
      if (updates === undefined) {
        const known = source.streams.names.map(source.wireNames.toWire);
        return refuse(
          c,
          400,
          "M_UNKNOWN",
          "STREAM_UNKNOWN",
          `Unknown stream; the streams are ${known.join(", ")}`,
        );
      }
      return c.body(updates.body, 200, {
        ...JSON_TYPE,
        "headwater-instance": source.instance,
        "headwater-run": source.run,
        "headwater-floor": String(updates.floor),
      });
    },
  );
  app.post(`${CALL_PATH}/:name/:id`, async (c) => {
    const { name, id } = c.req.param();
    let args: unknown;
    try {
      args = callBody.parse(JSON.parse(await readBody(c, options))).args;
    } catch (error) {
      if (error instanceof LateBody) {
        const message = "Cannot take the request: it did not arrive in time";
        return refuse(c, 408, "M_UNKNOWN", "INVALID_ARGUMENT", message);
      }
      return refuse(
        c,
        400,
        "M_BAD_JSON",
        "INVALID_ARGUMENT",
        'Cannot take the call: its body is not {"args": …} as JSON',
      );
    }
    const { response, ...where } = await options.call(name, id, args);
    const text = `{"result":${response},${JSON.stringify(where).slice(1)}`;
    return c.body(text, 200, JSON_TYPE);
  });
  app.notFound((c) =>
    refuse(
      c,
      404,
      "M_UNRECOGNIZED",
      "INVALID_ARGUMENT",
      `Cannot answer: there is no ${c.req.method} ${c.req.path}`,
    )
  );
  app.onError((error, c) => {
    const { status, errcode, code, message, data } = describeFailure(error);
    if (!(error instanceof HeadwaterError)) {
      logger("error", "request failed", { error: messageOf(error) });
    }
    return c.body(
      formatError(errcode, code, message, data),
      status,
      JSON_TYPE,
    );
  });
  return app;
}

/** A body that did not come in time. */
class LateBody extends HeadwaterError {}

/** A body that trickles in for ever must not be waited for. */
async function readBody(
  c: Context,
  { clock, requestTimeoutMs = REQUEST_TIMEOUT_MS }: ReplicationAppOptions,
): Promise<string> {
  let cancel: CancelTimer | undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = clock.schedule(
      () => reject(new LateBody("INVALID_ARGUMENT", "too late")),
      requestTimeoutMs,
    );
  });
  try {
    return await Promise.race([c.req.text(), late]);
  } finally {
    cancel?.();
  }
}

function refuse(
  c: Context,
  status: 400 | 401 | 404 | 408 | 413,
  errcode: string,
  code: string,
  message: string,
): Response {
  return c.body(formatError(errcode, code, message), status, JSON_TYPE);
}

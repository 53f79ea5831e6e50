/**
 * The HTTP side of `headwater serve`.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import {
  HeadwaterError,
  type JsonValue,
  type Logger,
  VersionConflictError,
} from "../../mod.ts";
import { isAuthorized } from "../http/mod.ts";
import type { WriterStore } from "../writer/mod.ts";

type Writer = WriterStore<Record<string, never>>;

/** Bytes of a request's body. Beyond, it is refused with 413. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** Rows in one answer, about. */
const MAX_LIMIT = 10_000;

const keyPart = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** It was read as JSON, so it is; how deep it may be, the writer says. */
const json = z.custom<JsonValue>();

const event = z.strictObject({
  type: z.string().min(1),
  data: json.optional(),
  metadata: z.record(z.string(), json).optional(),
  id: z.string().min(1).optional(),
});

const transactionBody = z.strictObject({
  append: z.strictObject({
    aggregate: z.string().min(1),
    expectedVersion: z.union([
      z.int().nonnegative(),
      z.enum(["any", "none", "exists"]),
    ]).optional(),
    events: z.array(event).min(1),
  }).optional(),
  rows: z.record(z.string(), z.array(json).min(1)).optional(),
  invalidate: z.array(
    z.tuple([z.string().min(1), z.array(keyPart).nullable()]),
  ).min(1).optional(),
}).refine(
  ({ append, rows, invalidate }) =>
    append !== undefined || invalidate !== undefined ||
    Object.keys(rows ?? {}).length > 0,
  'give at least one of "append", "rows" and "invalidate"',
);

const token = z.coerce.number().int().nonnegative();

const rowsQuery = z.strictObject({
  after: token.optional(),
  upto: token.optional(),
  limit: z.coerce.number().int().positive().max(MAX_LIMIT).optional(),
});

type Status = 400 | 401 | 404 | 409 | 413 | 500 | 503;

/**
 * What answers requests for a writer.
 *
 * @param writer The writer.
 * @param logger Hears of what fails for reasons of its own.
 * @param secret What requests must carry; all but those for `/health`.
 */
export function createApp(
  writer: Writer,
  logger: Logger,
  secret?: string,
): Hono {
  const app = new Hono();
  // The replication endpoint asks for the secret, and has limits, by itself.
  for (const path of ["/_synapse/*", "/_headwater/*"]) {
    app.all(path, (c) => writer.fetch(c.req.raw));
  }
  app.use("/v1/*", async (c, next) => {
    if (isAuthorized(c.req.header("authorization"), secret)) {
      return await next();
    }
    return fail(
      c,
      401,
      "UNAUTHORIZED",
      "the secret is missing or another; send it as Authorization: Bearer",
    );
  });
  app.use(bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: (c) =>
      fail(
        c,
        413,
        "BODY_TOO_LARGE",
        `a body has at most ${MAX_BODY_BYTES} bytes`,
      ),
  }));
  app.post("/v1/transactions", async (c) => {
    const body = transactionBody.parse(await readJson(c));
    const commit = await writer.transaction("http", async (txn) => {
      const { append, rows = {}, invalidate = [] } = body;
      if (append !== undefined) {
        const { aggregate, events, expectedVersion } = append;
        await txn.append(aggregate, events, { expectedVersion });
      }
      for (const [stream, list] of Object.entries(rows)) {
        for (const row of list) txn.write(stream, row);
      }
      for (const [cache, key] of invalidate) {
        if (key === null) txn.invalidateAll(cache);
        else txn.invalidate(cache, key);
      }
    });
    return c.json({ instance: commit.instance, token: commit.token }, 201);
  });
  app.get(
    "/v1/positions",
    (c) => c.json({ positions: Object.fromEntries(writer.position) }),
  );
  app.get("/v1/streams/:stream/rows", async (c) => {
    const { after, upto, limit } = rowsQuery.parse(c.req.query());
    const page = await writer.readRows(c.req.param("stream"), {
      after,
      upTo: upto,
      limit,
    });
    return c.json({
      rows: page.rows,
      upto: page.upTo,
      limited: page.isLimited,
    });
  });
  app.get("/health", (c) =>
    c.json({
      status: "ok",
      instance: writer.instance,
      positions: Object.fromEntries(writer.position),
    }));
  app.notFound((c) =>
    fail(c, 404, "NOT_FOUND", `there is no ${c.req.method} ${c.req.path}`)
  );
  app.onError((error, c) => {
    const answer = answerError(c, error);
    if (answer.status === 500) {
      logger("error", "request failed", { error: String(error.stack) });
    }
    return answer;
  });
  return app;
}

async function readJson(c: Context): Promise<unknown> {
  const text = await c.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HeadwaterError(
      "INVALID_ARGUMENT",
      `Cannot read the body: it is not JSON (${
        error instanceof Error ? error.message : error
      })`,
    );
  }
}

function answerError(c: Context, error: unknown): Response {
  if (error instanceof z.ZodError) {
    const issues = error.issues.map(({ path, message }) => ({ path, message }));
    const [first] = issues;
    const place = first?.path.join(".") || "the request";
    return fail(c, 400, "INVALID_ARGUMENT", `${place}: ${first?.message}`, {
      issues,
    });
  }
  if (error instanceof VersionConflictError) {
    const { actualVersion } = error;
    return fail(c, 409, error.code, error.message, { actualVersion });
  }
  if (error instanceof HeadwaterError) {
    return fail(c, statusOf(c, error), error.code, error.message);
  }
  return fail(
    c,
    500,
    "INTERNAL",
    "the request failed; the server's log says why",
  );
}

function statusOf(c: Context, { code }: HeadwaterError): Status {
  switch (code) {
    case "STREAM_UNKNOWN":
      // In a path it names what isn't there; in a body it's a mistake.
      return c.req.method === "GET" ? 404 : 400;
    case "INVALID_ARGUMENT":
    case "KEY_INVALID":
    case "ROW_INVALID":
    case "ROW_TOO_LONG":
    case "TRANSACTION_TOO_LARGE":
      return 400;
    case "CLOSED":
    case "DATABASE_BUSY":
    case "DATABASE_FULL":
    case "LEASE_LOST":
      return 503;
    default:
      return 500;
  }
}

function fail(
  c: Context,
  status: Status,
  code: string,
  message: string,
  more: Readonly<Record<string, unknown>> = {},
): Response {
  return c.json({ error: { code, message, ...more } }, status);
}

/**
 * Spans of transactions, and of their application.
 *
 * @module
 */

import {
  context,
  ProxyTracerProvider,
  type Span,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { messageOf } from "../runtime/errors.ts";
import type { Token } from "../tokens/token.ts";
import { commitLink } from "./commit_link.ts";

const TRACER = "headwater";

/** The tracer of what is installed now; `undefined` if nothing is. */
export function findTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider();
  return provider instanceof ProxyTracerProvider
    ? provider.getDelegateTracer(TRACER)
    : provider.getTracer(TRACER);
}

/** What spans are made with. */
export interface SpanMakerOptions {
  readonly tracer: Tracer;
  /** Which log it is; `undefined` while it isn't known, or has no identity. */
  readonly logId: () => string | undefined;
}

/** What is known of a transaction that is committed. */
export interface SpannedCommit {
  readonly instance: string;
  readonly token: Token;
  readonly rows: number;
  readonly attempts: number;
}

/** What is applied in one step. */
export interface SpannedApplication {
  readonly instance: string;
  readonly token: Token;
  readonly rows: number;
  readonly transactions: number;
}

/** Makes spans. */
export class SpanMaker {
  readonly #options: SpanMakerOptions;

  /** Constructs one. */
  constructor(options: SpanMakerOptions) {
    this.#options = options;
  }

  /**
   * Runs a transaction in a span of its own, which what it does belongs to.
   *
   * @param instance Who writes.
   * @param name What it does.
   * @param run Runs it; tells what was committed, if anything was.
   */
  async transaction<Result>(
    instance: string,
    name: string,
    run: (committed: (commit: SpannedCommit) => void) => Promise<Result>,
  ): Promise<Result> {
    const span = this.#options.tracer.startSpan("headwater.transaction", {
      attributes: {
        "headwater.instance": instance,
        "headwater.transaction": name,
      },
    });
    const within = trace.setSpan(context.active(), span);
    try {
      return await context.with(
        within,
        () => run((commit) => this.#committed(span, commit)),
      );
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  /** Applies something in a span. */
  apply<Result>(
    { instance, token, rows, transactions }: SpannedApplication,
    run: () => Result | Promise<Result>,
  ): Result | Promise<Result> {
    const logId = this.#options.logId();
    const span = this.#options.tracer.startSpan("headwater.apply", {
      attributes: {
        "headwater.instance": instance,
        "headwater.token": token,
        "headwater.rows": rows,
        "headwater.transactions": transactions,
      },
      links: logId === undefined ? [] : [commitLink(logId, instance, token)],
    });
    const within = trace.setSpan(context.active(), span);
    let result: Result | Promise<Result>;
    try {
      result = context.with(within, run);
    } catch (error) {
      fail(span, error);
      span.end();
      throw error;
    }
    if (!(result instanceof Promise)) {
      span.end();
      return result;
    }
    return result.then((value) => {
      span.end();
      return value;
    }, (error) => {
      fail(span, error);
      span.end();
      throw error;
    });
  }

  #committed(
    span: Span,
    { instance, token, rows, attempts }: SpannedCommit,
  ): void {
    if (!span.isRecording()) return;
    span.setAttributes({
      "headwater.token": token,
      "headwater.rows": rows,
      "headwater.attempts": attempts,
    });
    const logId = this.#options.logId();
    if (logId !== undefined) span.addLink(commitLink(logId, instance, token));
  }
}

function fail(span: Span, error: unknown): void {
  const message = messageOf(error);
  span.recordException(error instanceof Error ? error : message);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

// Providers for OpenTelemetry's interface that keep what they are given, for no
// SDK is installed.

import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes,
  type BatchObservableCallback,
  type Context,
  context,
  type ContextManager,
  createNoopMeter,
  type Link,
  type Meter,
  type MeterProvider,
  type MetricOptions,
  metrics,
  type Observable,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  trace,
  TraceFlags,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";
import type { Test } from "tap";

/** One value of a collection. */
export interface Measured {
  readonly name: string;
  readonly value: number;
  readonly attributes: Attributes;
}

/** An instrument that was made. */
export interface Made {
  readonly kind: "counter" | "upDownCounter" | "gauge";
  readonly options: MetricOptions;
}

/** Collects when it is told to. */
export class TestMeterProvider implements MeterProvider {
  readonly made = new Map<string, Made>();
  readonly #callbacks = new Map<BatchObservableCallback, Observable[]>();
  readonly #names = new Map<Observable, string>();

  /** How many observe. */
  get observers(): number {
    return this.#callbacks.size;
  }

  getMeter(): Meter {
    const noop = createNoopMeter();
    const create =
      (kind: Made["kind"]) => (name: string, options: MetricOptions = {}) => {
        const observable: Observable = {
          addCallback() {},
          removeCallback() {},
        };
        this.made.set(name, { kind, options });
        this.#names.set(observable, name);
        return observable;
      };
    return {
      createGauge: (name) => noop.createGauge(name),
      createHistogram: (name) => noop.createHistogram(name),
      createCounter: (name) => noop.createCounter(name),
      createUpDownCounter: (name) => noop.createUpDownCounter(name),
      createObservableGauge: create("gauge"),
      createObservableCounter: create("counter"),
      createObservableUpDownCounter: create("upDownCounter"),
      addBatchObservableCallback: (
        callback: BatchObservableCallback,
        observables,
      ) => void this.#callbacks.set(callback, observables),
      removeBatchObservableCallback: (callback: BatchObservableCallback) =>
        void this.#callbacks.delete(callback),
    };
  }

  /** Reads all there is; a value that is given twice is an error. */
  collect(): Measured[] {
    const all: Measured[] = [];
    const seen = new Set<string>();
    for (const [callback, observables] of this.#callbacks) {
      callback({
        observe: (observable, value, attributes = {}) => {
          if (!observables.includes(observable)) {
            throw new Error("observes what it didn't ask for");
          }
          const name = this.#names.get(observable) as string;
          const key = JSON.stringify([name, attributes]);
          if (seen.has(key)) throw new Error(`given twice: ${key}`);
          seen.add(key);
          all.push({ name, value, attributes });
        },
      });
    }
    return all;
  }

  /** The value of a name and some attributes; `undefined` if there is none. */
  value(name: string, wanted: Attributes): number | undefined {
    return this.collect().find((each) =>
      each.name === name &&
      Object.entries(wanted).every(([key, value]) =>
        each.attributes[key] === value
      )
    )?.value;
  }
}

/** A span that keeps what it is told. */
export class TestSpan implements Span {
  readonly name: string;
  readonly parent: SpanContext | undefined;
  readonly attributes: Attributes;
  readonly links: Link[];
  status: SpanStatus | undefined;
  exception: unknown;
  isEnded = false;
  readonly #context: SpanContext;

  constructor(name: string, options: SpanOptions, parent: Context, id: number) {
    this.name = name;
    this.parent = trace.getSpanContext(parent);
    this.attributes = { ...options.attributes };
    this.links = [...options.links ?? []];
    this.#context = {
      traceId: "1".repeat(32),
      spanId: String(id).padStart(16, "0"),
      traceFlags: TraceFlags.SAMPLED,
    };
  }

  spanContext(): SpanContext {
    return this.#context;
  }

  setAttribute(key: string, value: string): this {
    this.attributes[key] = value;
    return this;
  }

  setAttributes(attributes: Attributes): this {
    Object.assign(this.attributes, attributes);
    return this;
  }

  addEvent(): this {
    return this;
  }

  addLink(link: Link): this {
    this.links.push(link);
    return this;
  }

  addLinks(links: Link[]): this {
    this.links.push(...links);
    return this;
  }

  setStatus(status: SpanStatus): this {
    this.status = status;
    return this;
  }

  updateName(): this {
    return this;
  }

  end(): void {
    this.isEnded = true;
  }

  isRecording(): boolean {
    return !this.isEnded;
  }

  recordException(exception: unknown): void {
    this.exception = exception;
  }
}

/** Keeps every span that was made. */
export class TestTracerProvider implements TracerProvider {
  readonly spans: TestSpan[] = [];

  getTracer(): Tracer {
    return {
      startSpan: (name, options = {}, parent = context.active()) => {
        const span = new TestSpan(name, options, parent, this.spans.length + 1);
        this.spans.push(span);
        return span;
      },
      startActiveSpan: () => {
        throw new Error("not needed");
      },
    };
  }

  /** Those of a name that have ended. */
  ended(name: string): TestSpan[] {
    return this.spans.filter((span) => span.isEnded && span.name === name);
  }
}

class TestContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<Args extends unknown[], Fn extends (...args: Args) => ReturnType<Fn>>(
    active: Context,
    fn: Fn,
    thisArg?: ThisParameterType<Fn>,
    ...args: Args
  ): ReturnType<Fn> {
    return this.#storage.run(active, () => fn.apply(thisArg, args));
  }

  bind<Target>(_active: Context, target: Target): Target {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}

/** Installs a meter provider until the test is over. */
export function installMeter(t: Test): TestMeterProvider {
  const provider = new TestMeterProvider();
  metrics.setGlobalMeterProvider(provider);
  t.teardown(() => metrics.disable());
  return provider;
}

/** Installs a tracer provider until the test is over. */
export function installTracer(t: Test): TestTracerProvider {
  const provider = new TestTracerProvider();
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new TestContextManager());
  t.teardown(() => {
    trace.disable();
    context.disable();
  });
  return provider;
}

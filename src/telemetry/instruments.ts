/**
 * Instruments of OpenTelemetry that are read when somebody collects.
 *
 * @module
 */

import {
  type Attributes,
  type BatchObservableCallback,
  type Meter,
  metrics,
  type Observable,
} from "@opentelemetry/api";

/** One instrument. */
export interface Instrument {
  /** A counter only grows; an up-down counter can be summed over processes; a gauge can't. */
  readonly kind: "counter" | "upDownCounter" | "gauge";
  /** As UCUM has it: `By`, `s`, `{row}`. */
  readonly unit: string;
  readonly description: string;
}

/** Instruments by their names. */
export type Instruments<Name extends string> = Readonly<
  Record<Name, Instrument>
>;

/** Gives one value. */
export type Observe<Name extends string> = (
  name: Name,
  value: number,
  attributes?: Attributes,
) => void;

/** Ends an observation. */
export type Unobserve = () => void;

const METER = "headwater";

/**
 * Has a store's values read at each collection, by the meter provider that is
 * installed now; by none if none is.
 *
 * @param name What the store is called; followed by a number if another one is.
 * @param side Which kind of store it is.
 * @param instruments What is measured.
 * @param read Gives the values.
 */
export function observeStore<Name extends string>(
  name: string,
  side: "reader" | "writer",
  instruments: Instruments<Name>,
  read: (observe: Observe<Name>) => void,
): Unobserve {
  const store = takeStoreName(name);
  const end = observe(instruments, { store, side }, read);
  return () => {
    end();
    namesInUse.delete(store);
  };
}

function observe<Name extends string>(
  instruments: Instruments<Name>,
  common: Attributes,
  read: (observe: Observe<Name>) => void,
): Unobserve {
  const meter = metrics.getMeter(METER);
  const observables = new Map<Name, Observable>();
  for (const name in instruments) {
    observables.set(name, create(meter, name, instruments[name]));
  }
  const all = [...observables.values()];
  const callback: BatchObservableCallback = (result) =>
    read((name, value, attributes) => {
      const observable = observables.get(name) as Observable;
      result.observe(observable, value, { ...common, ...attributes });
    });
  meter.addBatchObservableCallback(callback, all);
  return () => meter.removeBatchObservableCallback(callback, all);
}

function create(
  meter: Meter,
  name: string,
  { kind, unit, description }: Instrument,
): Observable {
  const options = { unit, description };
  switch (kind) {
    case "counter":
      return meter.createObservableCounter(name, options);
    case "upDownCounter":
      return meter.createObservableUpDownCounter(name, options);
    case "gauge":
      return meter.createObservableGauge(name, options);
  }
}

const namesInUse = new Set<string>();

/**
 * A name that no other store of this process is observed under: `slaved`, then
 * `slaved#2`. Without it two stores would give two values for one thing.
 */
function takeStoreName(name: string): string {
  let taken = name;
  for (let count = 2; namesInUse.has(taken); count += 1) {
    taken = `${name}#${count}`;
  }
  namesInUse.add(taken);
  return taken;
}

/**
 * Loops that are timed. Each is compiled anew, so that no call site serves two
 * contestants and pays for both shapes; and each counts what it found, so that
 * nothing can be left out of it.
 *
 * @module
 */

/** One call: of one key, or of two. */
export type Call<Keys extends readonly unknown[], Result> = (
  ...keys: Keys
) => Result;

/** The keys of the calls, one list for each argument, all of one length. */
type Lists<Keys extends readonly unknown[]> = {
  readonly [Index in keyof Keys]: readonly Keys[Index][];
};

/** Ns a call, over `calls` of them, from the lists' place `from` on. */
export type Timer<Keys extends readonly unknown[], Result> = (
  calls: number,
  lists: Lists<Keys>,
  call: Call<Keys, unknown>,
  from?: number,
) => Result;

/** Every call must find something. */
export function hitTimer<Keys extends readonly unknown[]>(
  call: Call<Keys, unknown>,
): Timer<Keys, number> {
  return compile(call.length, "", "found !== undefined", true);
}

/** Every call must find something, and is awaited before the next. */
export function awaitedTimer<Keys extends readonly unknown[]>(
  call: Call<Keys, unknown>,
): Timer<Keys, Promise<number>> {
  return compile(call.length, "await", "found !== undefined", true);
}

/** What the calls give does not matter, but is looked at. */
export function callTimer<Keys extends readonly unknown[]>(
  call: Call<Keys, unknown>,
): Timer<Keys, number> {
  return compile(call.length, "", "found === true", false);
}

function compile<F>(
  args: number,
  wait: "" | "await",
  counted: string,
  mustCount: boolean,
): F {
  const indexes = Array.from({ length: args }, (_, index) => index);
  const names = indexes.map((index) => `list${index}`).join(", ");
  const keys = indexes.map((index) => `list${index}[at]`).join(", ");
  const source = `${wait && "async"} (calls, [${names}], call, from = 0) => {
  let count = 0;
  const began = performance.now();
  for (let done = 0, at = from; done < calls; done += 1, at += 1) {
    if (at === list0.length) at = 0;
    const found = ${wait} call(${keys});
    if (${counted}) count += 1;
  }
  const ms = performance.now() - began;
  if (${mustCount} && count !== calls) throw new Error("a miss");
  globalThis.headwaterBenchSink = count;
  return ms * 1e6 / calls;
}`;
  return new Function(`return ${source.trim()}`)() as F;
}

/**
 * How late timers are: what node:perf_hooks tells of on Node alone.
 *
 * @module
 */

const INTERVAL_MS = 1;

/** What a timer that was in time counts as: there is no ratio to nothing. */
const LEAST_MS = 0.001;

/**
 * Samples the event loop's delay while something is done.
 *
 * @returns How late each timer was, in ms.
 */
export async function sampleDelays(
  work: () => Promise<void>,
): Promise<number[]> {
  const delays: number[] = [];
  let timer: ReturnType<typeof setTimeout>;
  const arm = () => {
    const dueMs = performance.now() + INTERVAL_MS;
    timer = setTimeout(() => {
      delays.push(Math.max(LEAST_MS, performance.now() - dueMs));
      arm();
    }, INTERVAL_MS);
  };
  arm();
  await work();
  clearTimeout(timer!);
  return delays;
}

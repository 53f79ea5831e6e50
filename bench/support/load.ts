/**
 * Doing something many times, and how long it took.
 *
 * @module
 */

/**
 * Does something `count` times, so many at a time.
 *
 * @returns How long it took, in ms.
 */
export async function timeWriters(
  writers: number,
  count: number,
  write: () => Promise<void>,
): Promise<number> {
  let left = count;
  const write1 = async () => {
    while (left > 0) {
      left -= 1;
      await write();
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: writers }, write1));
  return performance.now() - began;
}

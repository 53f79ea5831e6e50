/**
 * Calling what users gave, so that its mistakes stay its own.
 *
 * @module
 */

/**
 * Calls a function that nobody waits for. The type of a listener lets async
 * functions in, so what its promise rejects with counts as what it throws: it
 * would end the process otherwise.
 *
 * @param call Calls the function.
 * @param failed Is given what it threw, at once, or rejected with, later.
 */
export function callListener(
  call: () => unknown,
  failed: (error: unknown) => void,
): void {
  try {
    const result = call();
    if (result instanceof Object && "then" in result) {
      Promise.resolve(result).catch(failed);
    }
  } catch (error) {
    failed(error);
  }
}

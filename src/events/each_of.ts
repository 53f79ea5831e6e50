/**
 * Giving out one by one what comes in pages.
 *
 * @module
 */

/**
 * The items of pages, one by one. An item that is there already costs one
 * promise; as a generator within a generator it would take several turns of the
 * microtask queue, which is most of the time that reading an event takes.
 *
 * @param pages Where they come from; ended when the reader stops.
 * @param convert Called with each item as it is asked for. If it throws, reading ends.
 */
export function eachOf<Item, Result>(
  pages: AsyncGenerator<readonly Item[], void>,
  convert: (item: Item) => Result,
): AsyncIterableIterator<Result, void> {
  let page: readonly Item[] = [];
  let at = 0;
  let busy: Promise<unknown> | undefined;

  const give = (): IteratorResult<Result, void> => {
    const item = page[at] as Item;
    at += 1;
    return { value: convert(item), done: false };
  };
  const end = async (): Promise<IteratorResult<Result, void>> => {
    page = [];
    at = 0;
    await pages.return();
    return { value: undefined, done: true };
  };
  const giveOrEnd = (): Promise<IteratorResult<Result, void>> => {
    try {
      return Promise.resolve(give());
    } catch (error) {
      const fail = () => Promise.reject(error);
      return end().then(fail, fail);
    }
  };
  const turn = async (): Promise<IteratorResult<Result, void>> => {
    while (at >= page.length) {
      const { value, done } = await pages.next();
      if (done) return { value: undefined, done: true };
      page = value;
      at = 0;
    }
    return await giveOrEnd();
  };
  /** Who asks while a page is fetched comes after those who asked before. */
  const inTurn = (
    work: () => Promise<IteratorResult<Result, void>>,
  ): Promise<IteratorResult<Result, void>> => {
    const done = busy === undefined ? work() : busy.then(work, work);
    busy = done;
    const free = () => {
      if (busy === done) busy = undefined;
    };
    done.then(free, free);
    return done;
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next() {
      return busy !== undefined || at >= page.length
        ? inTurn(turn)
        : giveOrEnd();
    },
    return: () => inTurn(end),
  };
}

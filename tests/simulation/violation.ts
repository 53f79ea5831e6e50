// A promise that was broken.

/** Says which promise, and how it was broken. */
export class Violation extends Error {
  readonly promise: number;

  constructor(promise: number, message: string) {
    super(`promise ${promise}: ${message}`);
    this.promise = promise;
  }
}

// Waiting for what must come true, rather than for time to pass.

const DEADLINE_MS = 20_000;
const PAUSE_MS = 2;

/** Resolves once `holds` gives true; fails, naming what was waited for, if it never does. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!await holds()) {
    if (performance.now() > deadline) {
      throw new Error(`still waiting after ${deadlineMs} ms until ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

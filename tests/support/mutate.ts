// Mistakes on purpose, in a copy of dist/: whether what looks for them finds them.

import { execFile } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** A mistake: in each of its files a text, which stands there once, is another. */
export interface Mistake {
  readonly name: string;
  readonly patches: readonly (readonly [
    file: string,
    text: string,
    replacement: string,
  ])[];
}

/** How mistakes are looked for. */
export interface Search<Each extends Mistake> {
  readonly mistakes: readonly Each[];
  /** Parts of the names of those that are made; all of them, if it is empty. */
  readonly parts: readonly string[];
  /** What of dist/ is copied, beside `mod.js` and `src`. */
  readonly folders: readonly string[];
  /** Where the files are, in dist/. */
  readonly source: string;
  /** The program that looks for them, in dist/, and its arguments. */
  readonly command: readonly [main: string, ...args: string[]];
  readonly timeoutMs?: number | undefined;
  /** What is to be said of a program's output if it has found the mistake. */
  found(output: string, mistake: Each): string | undefined;
}

/** Makes mistakes one after another. The exit code is 1 if one was not found. */
export async function searchMistakes<Each extends Mistake>(
  search: Search<Each>,
): Promise<void> {
  const { mistakes, parts, folders } = search;
  const copy = mkdtempSync(join(tmpdir(), "headwater-mutations-"));
  let missed = 0;
  try {
    for (const name of ["mod.js", "src", ...folders]) {
      const to = join(copy, "dist", name);
      cpSync(join(ROOT, "dist", name), to, { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
    writeFileSync(join(copy, "package.json"), '{"type":"module"}');
    for (const mistake of mistakes) {
      const { name } = mistake;
      const isWanted = parts.length === 0 ||
        parts.some((part) => name.includes(part));
      if (!isWanted) continue;
      const before = make(mistake, join(copy, "dist", search.source));
      const output = await run(copy, search);
      const found = search.found(output, mistake);
      if (found === undefined) missed += 1;
      console.log(
        `${name}: ${found ?? `NOT FOUND: ${output.trim().slice(-300)}`}`,
      );
      for (const [path, text] of before) writeFileSync(path, text);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  process.exitCode = missed === 0 ? 0 : 1;
}

/** Makes a mistake, and gives the files as they were. */
function make(
  { name, patches }: Mistake,
  folder: string,
): ReadonlyMap<string, string> {
  const before = new Map<string, string>();
  for (const [file, text, replacement] of patches) {
    const path = join(folder, file);
    const source = readFileSync(path, "utf8");
    if (!before.has(path)) before.set(path, source);
    if (source.split(text).length !== 2) {
      throw new Error(`"${name}": not once in ${file}: ${text}`);
    }
    writeFileSync(path, source.replace(text, () => replacement));
  }
  return before;
}

function run(
  copy: string,
  { command: [main, ...args], timeoutMs = 0 }: Pick<
    Search<Mistake>,
    "command" | "timeoutMs"
  >,
): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(copy, "dist", main), ...args],
      { maxBuffer: 1 << 26, timeout: timeoutMs },
      (_error, stdout, stderr) => resolve(stdout + stderr),
    );
  });
}

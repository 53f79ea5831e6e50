// The README's example and the guides' programs, as they are printed, in an empty
// project: under Node from the package that npm would publish, under Deno from
// the source.

import t from "tap";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryFolder } from "../support/folders.ts";

const isDeno = "Deno" in globalThis;
const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const runFile = promisify(execFile);
// Without what the test runner gives to its processes.
const env = { ...process.env, NODE_OPTIONS: "" };
const run = (program: string, args: readonly string[], cwd: string) =>
  runFile(program, args, { cwd, env });

/** Guides whose TypeScript is one program, and what it says in the end. */
const GUIDES = [["caching", "all as written\n"]] as const;

/** The blocks that begin with a file's name. */
function exampleFiles(): Map<string, string> {
  const blocks = readme.matchAll(/```ts\n(\/\/ (\w+\.ts):[^]*?)```/g);
  return new Map([...blocks].map(([, text, name]) => [name ?? "", text ?? ""]));
}

/** All of a guide's blocks, one after the other. */
function guideProgram(name: string): string {
  const guide = readFileSync(join(root, `docs/${name}.md`), "utf8");
  const blocks = guide.matchAll(/```ts\n([^]*?)```/g);
  return [...blocks].map(([, text]) => text).join("\n");
}

t.test("the README's example and the guides run as printed", async (t) => {
  const folder = temporaryFolder(t);
  const files = exampleFiles();
  t.same([...files.keys()], ["stores.ts", "main.ts", "worker.ts"]);
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  for (const [name] of GUIDES) {
    writeFileSync(join(folder, `${name}.ts`), guideProgram(name));
  }
  const start = isDeno
    ? await makeDenoProject(folder)
    : await makeNodeProject(folder);
  const expected = /It prints `([^`]+)`/.exec(readme)?.[1];
  t.ok(expected);
  t.equal((await start("main")).trim(), expected);
  for (const [name, said] of GUIDES) t.equal(await start(name), said, name);
});

/** Starts one of a project's programs; gives what it prints. */
type Start = (name: string) => Promise<string>;

async function makeDenoProject(folder: string): Promise<Start> {
  const config = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const imports = { ...config.imports };
  for (const [door, path] of Object.entries<string>(config.exports)) {
    imports[door.replace(".", "headwater")] = new URL(
      path,
      new URL("../../", import.meta.url),
    ).href;
  }
  writeFileSync(join(folder, "deno.json"), JSON.stringify({ imports }));
  const programs = ["main", ...GUIDES.map(([name]) => name)];
  await run(
    process.execPath,
    ["check", "--quiet", ...programs.map((name) => `${name}.ts`)],
    folder,
  );
  return async (name) => {
    const command = ["run", "-A", "--quiet", "--no-check", `${name}.ts`];
    const { stdout } = await run(process.execPath, command, folder);
    return stdout;
  };
}

/** What a library exports whose author has written no types, of our first door alone. */
const INFERRED = `import * as h from "headwater";
import { z } from "zod";
export const rooms = h.defineAggregate("room", { opened: z.object({}) });
export const room = rooms.of("1");
export const orders = h.defineStream("orders", z.object({}));
export const group = h.defineCacheGroup("g", z.tuple([z.string()]), () => []);
export const streams = [h.cachesStream, h.eventsStream] as const;
export const ofWriter = (w: h.WriterStore<unknown>) => [
  w.stats, w.caches, w.why, w.presence, w.readRows(orders), w.aggregate(room),
  w.aggregate(room).fold, w.readEvents, w.waitFor, w.changes, w.transaction,
] as const;
export const ofSlaved = (s: h.SlavedStore<unknown>) => [
  s.stats, s.audit, s.presence, s.call, s.subscribe, s.waitFor, s.changes,
  s.waitFor("x", { onTimeout: "return" }), s.send, s.onCommand, s.resizeCaches,
] as const;
`;

async function makeNodeProject(folder: string): Promise<Start> {
  const packed = await run(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", folder],
    root,
  );
  // npm's own scripts may print before the document.
  const [, filename] = /"filename": "([^"]+)"/.exec(packed.stdout) ?? [];
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "empty", private: true, type: "module" }),
  );
  await run(
    "npm",
    ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${filename}`],
    folder,
  );
  const compilerOptions = {
    target: "ES2022",
    lib: ["ES2024", "ESNext.Disposable", "ESNext.Decorators"],
    module: "NodeNext",
    strict: true,
    rewriteRelativeImportExtensions: true,
    typeRoots: [join(root, "node_modules/@types")],
    types: ["node"],
    // TypeScript refuses declarations of what it can't name.
    declaration: true,
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions, include: ["*.ts"] }),
  );
  writeFileSync(join(folder, "inferred.ts"), INFERRED);
  await run(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc")],
    folder,
  );
  return async (name) => {
    const program = [`${name}.js`];
    const { stdout } = await run(process.execPath, program, folder);
    return stdout;
  };
}

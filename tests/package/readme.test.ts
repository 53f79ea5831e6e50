// The README's example, as it is printed, in an empty project: under Node from
// the package that npm would publish, under Deno from the source.

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
const run = promisify(execFile);

/** The blocks that begin with a file's name. */
function exampleFiles(): Map<string, string> {
  const blocks = readme.matchAll(/```ts\n(\/\/ (\w+\.ts):[^]*?)```/g);
  return new Map([...blocks].map(([, text, name]) => [name ?? "", text ?? ""]));
}

t.test("the README's example runs as printed", async (t) => {
  const folder = temporaryFolder(t);
  const files = exampleFiles();
  t.same([...files.keys()], ["stores.ts", "main.ts", "worker.ts"]);
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  const output = isDeno ? await runOnDeno(folder) : await runOnNode(folder);
  const expected = /It prints `([^`]+)`/.exec(readme)?.[1];
  t.ok(expected);
  t.equal(output.trim(), expected);
});

async function runOnDeno(folder: string): Promise<string> {
  const config = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const headwater = new URL("../../mod.ts", import.meta.url).href;
  const imports = { ...config.imports, headwater };
  writeFileSync(join(folder, "deno.json"), JSON.stringify({ imports }));
  const { stdout } = await run(
    process.execPath,
    ["run", "-A", "--quiet", "--check", "main.ts"],
    { cwd: folder },
  );
  return stdout;
}

async function runOnNode(folder: string): Promise<string> {
  const packed = await run(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", folder],
    { cwd: root },
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
    { cwd: folder },
  );
  const compilerOptions = {
    target: "ES2022",
    lib: ["ES2024", "ESNext.Disposable", "ESNext.Decorators"],
    module: "NodeNext",
    strict: true,
    rewriteRelativeImportExtensions: true,
    typeRoots: [join(root, "node_modules/@types")],
    types: ["node"],
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions, include: ["*.ts"] }),
  );
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [tsc], { cwd: folder });
  const { stdout } = await run(process.execPath, ["main.js"], { cwd: folder });
  return stdout;
}

// Removes from dist/ what no source stands behind any more, and what was
// compiled at run time: the rest is built anew only where it has changed.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
rmSync(`${root}dist/compile_cache`, { recursive: true, force: true });
const files = existsSync(`${root}dist`)
  ? readdirSync(`${root}dist`, { recursive: true })
  : [];
for (const file of files) {
  const source = file.replace(/(?:\.d\.ts|\.js|\.js\.map)$/, ".ts");
  if (source === file || existsSync(root + source)) continue;
  rmSync(`${root}dist/${file}`, { recursive: true, force: true });
}

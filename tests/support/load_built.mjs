// Lets Node run this project's TypeScript files where they are, from what
// `npm run build` made of them: no file is compiled again for each process.

import { existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";

const root = new URL("../../", import.meta.url).href;
const dist = `${root}dist/`;

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL } = context;
    if (!isOwn(parentURL) || !/^\.\.?\/.*\.js$/.test(specifier)) {
      return next(specifier, context);
    }
    const url = new URL(specifier.replace(/js$/, "ts"), parentURL);
    return existsSync(url)
      ? { url: url.href, shortCircuit: true }
      : next(specifier, context);
  },
  load(url, context, next) {
    if (!isOwn(url)) return next(url, context);
    const built = dist + url.slice(root.length).replace(/ts$/, "js");
    const code = readFileSync(new URL(built), "utf8");
    const map = JSON.parse(readFileSync(new URL(`${built}.map`), "utf8"));
    const inline = Buffer.from(JSON.stringify({ ...map, sources: [url] }));
    const source = code.replace(
      /^(\/\/# sourceMappingURL=).*$/m,
      `$1data:application/json;base64,${inline.toString("base64")}`,
    );
    return { format: "module", source, shortCircuit: true };
  },
});

function isOwn(url) {
  return url?.startsWith(root) && url.endsWith(".ts") &&
    !url.startsWith(dist) && !url.includes("/node_modules/");
}

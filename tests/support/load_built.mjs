// Lets Node run this project's TypeScript files where they are, from what
// `npm run build` made of them: no file is compiled again for each process. And
// it reads modules that stand beside each other without looking for links, for
// package.json files and for formats first: a third of the time of a start. And
// tap keeps no account of every promise, to tell whose an uncaught error is: a
// tenth of all the time. Such an error ends the file's process, as in production.

import { existsSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";

const root = new URL("../../", import.meta.url).href;
const dist = `${root}dist/`;
/** Every `.js` file in there is a module of its own, and none is a link. */
const plain = [dist, "/node_modules/kysely/dist/", "/node_modules/zod/"];

const tapDomain = "/async-hook-domain/dist/mjs/index.js";
const noDomain = "export class Domain { destroy() {} }";

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL, conditions } = context;
    if (!specifier.startsWith(".") || !specifier.endsWith(".js")) {
      return next(specifier, context);
    }
    if (isPlain(parentURL) && conditions.includes("import")) {
      const { href } = new URL(specifier, parentURL);
      return { url: href, format: "module", shortCircuit: true };
    }
    if (!isOwn(parentURL)) return next(specifier, context);
    const url = new URL(specifier.replace(/js$/, "ts"), parentURL);
    return existsSync(url)
      ? { url: url.href, format: "module", shortCircuit: true }
      : next(specifier, context);
  },
  load(url, context, next) {
    if (isOwn(url)) {
      const built = new URL(dist + url.slice(root.length).replace(/ts$/, "js"));
      const source = readFileSync(built, "utf8").replace(
        // By its path: a URL of a file is none that Node takes for a map's.
        /^(\/\/# sourceMappingURL=).*$/m,
        `$1${built.pathname}.map`,
      );
      return { format: "module", source, shortCircuit: true };
    }
    if (url.endsWith(tapDomain)) {
      return { format: "module", source: noDomain, shortCircuit: true };
    }
    if (context.format !== "module" || !isPlain(url)) return next(url, context);
    const source = readFileSync(new URL(url));
    return { format: "module", source, shortCircuit: true };
  },
});

function isOwn(url) {
  return url?.startsWith(root) && url.endsWith(".ts") &&
    !url.startsWith(dist) && !url.includes("/node_modules/");
}

function isPlain(url) {
  return plain.some((folder) => url?.includes(folder));
}

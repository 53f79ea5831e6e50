// What can be checked of the source without judgement: which folder imports
// which, and what stands nowhere, or only in its place.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { readSource } from "./support/source_text.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const MAX_LINES = 400;

/** What the folders of a floor may import, beside themselves and `runtime`. */
interface Law {
  readonly floor: number;
  readonly folders: readonly string[];
  readonly packages: readonly string[];
}

const REPLICATION_AND_BELOW = [
  "caches",
  "database",
  "log",
  "protocol",
  "streams",
  "telemetry",
  "tokens",
  "transport",
];
const STORES = [
  ...REPLICATION_AND_BELOW,
  "events",
  "http",
  "projections",
  "replication",
  "store",
];

const LAWS: Readonly<Record<string, Law>> = {
  runtime: { floor: 0, folders: [], packages: [] },
  tokens: { floor: 1, folders: [], packages: [] },
  database: {
    floor: 1,
    folders: [],
    packages: ["kysely", "kysely-postgres-js", "postgres"],
  },
  streams: { floor: 2, folders: ["tokens"], packages: ["zod"] },
  caches: {
    floor: 2,
    folders: ["streams", "telemetry", "tokens"],
    packages: ["lru-cache", "zod"],
  },
  log: { floor: 2, folders: ["database", "tokens"], packages: [] },
  events: {
    floor: 3,
    folders: ["database", "log", "tokens"],
    packages: ["zod"],
  },
  projections: {
    floor: 4,
    folders: ["database", "events", "log", "tokens"],
    packages: ["kysely"],
  },
  telemetry: {
    floor: 2,
    folders: ["tokens"],
    packages: ["@opentelemetry/api"],
  },
  protocol: { floor: 3, folders: ["streams", "tokens"], packages: ["zod"] },
  transport: { floor: 3, folders: [], packages: ["redis"] },
  replication: { floor: 4, folders: REPLICATION_AND_BELOW, packages: [] },
  http: {
    floor: 4,
    folders: [
      "database",
      "events",
      "log",
      "protocol",
      "streams",
      "tokens",
      "transport",
    ],
    packages: ["@hono/node-server", "hono", "zod"],
  },
  store: {
    floor: 4,
    folders: ["caches", "database", "streams", "tokens"],
    packages: ["kysely"],
  },
  writer: {
    floor: 5,
    folders: STORES,
    packages: ["kysely", "lru-cache", "zod"],
  },
  slaved: { floor: 5, folders: STORES, packages: ["kysely"] },
  admin: {
    floor: 5,
    folders: [...REPLICATION_AND_BELOW, "events", "projections", "store"],
    packages: [],
  },
  testing: { floor: 6, folders: [], packages: [] },
  cli: {
    floor: 6,
    folders: [],
    packages: ["commander", "hono", "zod"],
  },
};

/** What stands only in some folders; `[]` is nowhere. */
const BANNED: readonly (readonly [string, RegExp, readonly string[]])[] = [
  ["Date.now", /\bDate\s*\.\s*now\b/, ["runtime"]],
  ["performance", /\bperformance\s*\./, ["runtime"]],
  ["setTimeout", /\bsetTimeout\b/, ["runtime", "cli", "testing"]],
  ["setInterval", /\bsetInterval\b/, ["runtime"]],
  ["setImmediate", /\bsetImmediate\b/, ["runtime", "testing"]],
  ["Math.random", /\bMath\s*\.\s*random\b/, ["runtime"]],
  ["console", /\bconsole\s*\./, ["runtime"]],
  ["Deno", /\bDeno\b/, ["runtime"]],
  ["process without its import", /\bglobalThis\s*\.\s*process\b/, []],
  ["new Error", /\bnew\s+Error\s*\(/, []],
  ["throw of a text", /\bthrow\s+["'`]/, []],
  ["export *", /^\s*export\s*\*/, []],
  ["export default", /^\s*export\s+default\b|\bas\s+default\b/, []],
];

/** One file as the checks see it. */
interface Source {
  /** From the project's root, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** An import, and where it stands. */
interface Import {
  readonly from: string;
  readonly line: number;
  readonly specifier: string;
}

/** `src/log/read.ts:5 what is wrong`. */
function offence(path: string, line: number, rule: string): string {
  return `${path}:${line} ${rule}`;
}

function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

const IMPORT =
  /\b(?:import|export)\s+(?:type\s+)?[^"';()]*?\bfrom\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/g;

/** Every import of a file, of types too. */
function importsOf({ path, text }: Source): Import[] {
  const { withStrings } = readSource(text);
  return [...withStrings.matchAll(IMPORT)].map((match) => ({
    from: path,
    line: withStrings.slice(0, match.index).split("\n").length,
    specifier: match[1] ?? match[2] ?? "",
  }));
}

/** The file that an import means, from the root; `undefined` for a package. */
function targetOf({ from, specifier }: Import): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const absolute = resolve("/", dirname(from), specifier);
  return absolute.slice(1).replaceAll("\\", "/");
}

function checkImport(each: Import): string[] {
  const { from, line, specifier } = each;
  const wrong = (rule: string) => [offence(from, line, rule)];
  const folder = folderOf(from);
  const law = folder === undefined ? undefined : LAWS[folder];
  if (folder !== undefined && law === undefined) {
    return wrong(`folder ${folder} has no law; give it one here`);
  }
  const target = targetOf(each);
  if (target === undefined) {
    const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
    if (law === undefined || law.packages.includes(name)) return [];
    if (!specifier.startsWith("node:")) {
      return wrong(`${folder} may not import ${name}`);
    }
    const isFree = specifier !== "node:process" || folder === "runtime" ||
      folder === "cli";
    return isFree ? [] : wrong(`${folder} may not import node:process`);
  }
  if (law === undefined) return [];
  const targetFolder = folderOf(target);
  if (targetFolder === folder && !target.endsWith("/mod.ts")) return [];
  const isDoor = target === "mod.ts" || target.endsWith("/mod.ts");
  if (law.floor === 6) {
    return isDoor ? [] : wrong(`floor 6 imports doors only, not ${target}`);
  }
  if (isDoor) return wrong(`floor ${law.floor} may not import a door`);
  const isAllowed = targetFolder === "runtime" ||
    law.folders.includes(targetFolder ?? "");
  return isAllowed ? [] : wrong(`${folder} may not import ${target}`);
}

/** Cycles, each as the files on it, from the first that was met. */
function findCycles(sources: readonly Source[]): string[] {
  const edges = new Map(sources.map((source) => [
    source.path,
    importsOf(source).flatMap((each) => targetOf(each) ?? []),
  ]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      cycles.push([...trail.slice(start), path].join(" > "));
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const { path } of sources) visit(path, []);
  return cycles;
}

function checkText({ path, text }: Source): string[] {
  const { code } = readSource(text);
  const lines = text.split("\n");
  const wrong: string[] = [];
  const folder = folderOf(path) ?? "";
  for (const [index, line] of code.split("\n").entries()) {
    for (const [name, pattern, allowed] of BANNED) {
      if (pattern.test(line) && !allowed.includes(folder)) {
        wrong.push(offence(path, index + 1, `${name} has no place here`));
      }
    }
    const isAny = /(?<![.\w])any\b(?!\s*[:(])/.test(line);
    const excuse = /deno-lint-ignore no-explicit-any -- \S/;
    if (isAny && !excuse.test(lines[index - 1] ?? "")) {
      wrong.push(offence(path, index + 1, "any without a reason"));
    }
  }
  for (const [index, line] of lines.entries()) {
    if (/@ts-(?:ignore|expect-error|nocheck)\b/.test(line)) {
      wrong.push(offence(path, index + 1, "a suppressed type"));
    }
    if (/deno-lint-ignore(?!.* -- \S)/.test(line)) {
      wrong.push(offence(path, index + 1, "a lint rule off without a reason"));
    }
  }
  const count = text.replace(/\n$/, "").split("\n").length;
  if (count > MAX_LINES) {
    wrong.push(offence(path, count, `more than ${MAX_LINES} lines`));
  }
  return wrong;
}

function check(sources: readonly Source[]): string[] {
  return [
    ...sources.flatMap(importsOf).flatMap(checkImport),
    ...findCycles(sources).map((cycle) => `${cycle} is a cycle`),
    ...sources.flatMap(checkText),
  ];
}

function listSources(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return listSources(path);
      if (!entry.name.endsWith(".ts")) return [];
      return [readFrom(path)];
    });
}

function readFrom(path: string): Source {
  const absolute = join(ROOT, path);
  return {
    path: relative(ROOT, absolute).replaceAll("\\", "/"),
    text: readFileSync(absolute, "utf8"),
  };
}

t.test("the source is tidy", (t) => {
  const sources = [readFrom("mod.ts"), ...listSources("src")];
  t.ok(sources.length > 40, `${sources.length} files`);
  const imports = sources.flatMap(importsOf);
  t.ok(imports.length > 200, `${imports.length} imports`);
  const paths = new Set(sources.map(({ path }) => path));
  const lost = imports.flatMap((each) => targetOf(each) ?? [])
    .filter((target) => !paths.has(target));
  t.same(lost, [], "every import leads to a file");
  t.same(check(sources), []);
  t.end();
});

t.test("the laws themselves only point downward", (t) => {
  for (const [folder, { floor, folders }] of Object.entries(LAWS)) {
    for (const below of folders) {
      // They are on one floor, and only caches know the others.
      const isSideways = folder === "caches" &&
        (below === "streams" || below === "telemetry");
      const isBelow = Number(LAWS[below]?.floor) < floor;
      t.ok(isBelow || isSideways, `${folder} on ${below}`);
    }
  }
  t.end();
});

t.test("the checks find what they look for", (t) => {
  const cases: [string, string, string][] = [
    [
      "src/log/a.ts",
      'import { x } from "../store/a.ts";',
      "log may not import src/store/a.ts",
    ],
    [
      "src/log/a.ts",
      'import type { X } from "../streams/a.ts";',
      "log may not import src/streams/a.ts",
    ],
    [
      "src/log/a.ts",
      'import {\n  type X,\n  y,\n} from "../writer/a.ts";',
      "log may not import src/writer/a.ts",
    ],
    [
      "src/log/a.ts",
      'export { x } from "../caches/a.ts";',
      "log may not import src/caches/a.ts",
    ],
    [
      "src/log/a.ts",
      'type X = import("../caches/a.ts").X;',
      "log may not import src/caches/a.ts",
    ],
    [
      "src/log/a.ts",
      'await import("../caches/a.ts");',
      "log may not import src/caches/a.ts",
    ],
    [
      "src/log/a.ts",
      'import "../caches/a.ts";',
      "log may not import src/caches/a.ts",
    ],
    ["src/log/a.ts", 'import { z } from "zod";', "log may not import zod"],
    [
      "src/log/a.ts",
      'import process from "node:process";',
      "log may not import node:process",
    ],
    [
      "src/log/a.ts",
      'import { x } from "../../mod.ts";',
      "floor 2 may not import a door",
    ],
    [
      "src/writer/a.ts",
      'import { x } from "../slaved/mod.ts";',
      "floor 5 may not import a door",
    ],
    [
      "src/writer/a.ts",
      'import { x } from "./mod.ts";',
      "floor 5 may not import a door",
    ],
    [
      "src/cli/a.ts",
      'import { x } from "../writer/a.ts";',
      "floor 6 imports doors only, not src/writer/a.ts",
    ],
    [
      "src/new/a.ts",
      'import { x } from "./b.ts";',
      "folder new has no law; give it one here",
    ],
    ["src/log/a.ts", "const now = Date.now();", "Date.now has no place here"],
    ["src/log/a.ts", "`${Date.now()}`;", "Date.now has no place here"],
    [
      "src/log/a.ts",
      "`${{ a: `}` }}${setTimeout(f)}`;",
      "setTimeout has no place here",
    ],
    ["src/log/a.ts", "Deno.exit(1);", "Deno has no place here"],
    ["src/cli/a.ts", "console.log(1);", "console has no place here"],
    ["src/log/a.ts", 'throw new Error("x");', "new Error has no place here"],
    ["src/log/a.ts", 'throw "x";', "throw of a text has no place here"],
    ["src/log/a.ts", 'export * from "./b.ts";', "export * has no place here"],
    ["src/log/a.ts", "export default 5;", "export default has no place here"],
    ["src/log/a.ts", "let x: any;", "any without a reason"],
    ["src/log/a.ts", "f(x as any);", "any without a reason"],
    ["src/log/a.ts", "let x: Map<string, any>;", "any without a reason"],
    [
      "src/log/a.ts",
      "// deno-lint-ignore no-explicit-any\nlet x: any;",
      "any without a reason",
    ],
    [
      "src/log/a.ts",
      "// deno-lint-ignore no-console\nf();",
      "a lint rule off without a reason",
    ],
    ["src/log/a.ts", "// @ts-expect-error -- no\nf();", "a suppressed type"],
    ["src/log/a.ts", "/* @ts-ignore */ f();", "a suppressed type"],
    ["src/log/a.ts", "f();\n".repeat(401), "more than 400 lines"],
  ];
  for (const [path, text, rule] of cases) {
    const found = check([{ path, text }]);
    t.ok(found.some((each) => each.endsWith(` ${rule}`)), rule, { found });
  }
  const cyclic = [
    { path: "src/log/a.ts", text: 'import type { B } from "./b.ts";' },
    { path: "src/log/b.ts", text: 'import { c } from "./c.ts";' },
    { path: "src/log/c.ts", text: 'export { A } from "./a.ts";' },
  ];
  t.same(check(cyclic), [
    "src/log/a.ts > src/log/b.ts > src/log/c.ts > src/log/a.ts is a cycle",
  ]);
  t.end();
});

t.test("the checks leave alone what is fine", (t) => {
  const fine: [string, string][] = [
    ["src/log/a.ts", 'import { x } from "../runtime/a.ts";'],
    ["src/log/a.ts", 'import { x } from "./b.ts";'],
    ["src/log/a.ts", 'import { readFileSync } from "node:fs";'],
    [
      "src/cli/a.ts",
      'import { x } from "../../mod.ts";\nimport { y } from "../writer/mod.ts";',
    ],
    ["src/cli/a.ts", 'import process from "node:process";'],
    ["src/runtime/a.ts", "const now = Date.now();"],
    [
      "src/log/a.ts",
      '// import { x } from "../cli/a.ts"; Date.now(); x as any',
    ],
    [
      "src/log/a.ts",
      '/** ```ts\n * import { x } from "headwater";\n * console.log(x);\n */',
    ],
    ["src/log/a.ts", 'const text = "Date.now() and any " + `new Error(${x})`;'],
    ["src/log/a.ts", "const pattern = /\"Date.now(); 'any/g;"],
    ["src/log/a.ts", "const half = total / 2; const other = a / b;"],
    ["src/log/a.ts", "AbortSignal.any([a, b]);"],
    [
      "src/log/a.ts",
      "// deno-lint-ignore no-explicit-any -- whatever comes\nlet x: any;",
    ],
    ["src/log/a.ts", "f();\n".repeat(400)],
  ];
  for (const [path, text] of fine) {
    t.same(check([{ path, text }]), [], text.slice(0, 60).replace(/\n/g, " "));
  }
  t.end();
});

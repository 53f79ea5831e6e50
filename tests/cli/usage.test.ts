// What the command says to those who get it wrong, and to those who ask.

import { readFileSync } from "node:fs";
import process from "node:process";
import t, { type Test } from "tap";
import { runCommand } from "../../src/cli/run_command.ts";
import { run } from "./run.ts";

const { version }: { version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
);

for (
  const [args, message] of [
    [
      [],
      /missing command: give serve, follow, positions, lag, log, verify, retain, projections or --help$/m,
    ],
    [["nonsense"], /unknown command 'nonsense'/],
    [["serve"], /required option '--database <url>' not specified/],
    [["serve", "--database", "sqlite::memory:"], /'--listen <url>'/],
    [["follow", "--nonsense"], /unknown option '--nonsense'/],
    [["follow"], /missing required argument 'url'/],
    [["follow", "tcp://a:1", "b"], /too many arguments for 'follow'/],
    [["follow", "http://x"], /"http:\/\/x": give tcp:\/\/HOST:PORT/],
    [
      ["serve", "--database", "mysql:x", "--listen", "tcp://:0"],
      /the schemes are sqlite:FILE/,
    ],
    [
      ["serve", "--database", "sqlite::memory:", "--listen", "nowhere"],
      /"nowhere": give tcp/,
    ],
    [
      ["serve", "--database", "sqlite::memory:", "--listen", "tcp://0.0.0.0:0"],
      /Cannot listen on tcp:\/\/0\.0\.0\.0:0: .*allowPlaintext/,
    ],
    [
      ["serve", "--database", "sqlite::memory:", "--listen", "tls://:0"],
      /no key; give tls/,
    ],
    [
      ["follow", "tls://:1", "--tls-ca", "/no/such/file"],
      /Cannot read --tls-ca "\/no\/such\/file": ENOENT; give a PEM file/,
    ],
    [
      [
        "serve",
        "--database",
        "sqlite::memory:",
        "--listen",
        "tcp://:0",
        "--schema",
        "log",
      ],
      /SQLite has no schemas/,
    ],
    [
      [
        "serve",
        "--database",
        "sqlite::memory:",
        "--listen",
        "tcp://:0",
        "--table-prefix",
        "a-b",
      ],
      /tablePrefix is "a-b"/,
    ],
    [["positions"], /missing required argument 'url'/],
    [["positions", "sqlite::memory:"], /"sqlite::memory:": no other process/],
    [["positions", "mysql:x"], /the schemes are sqlite:FILE/],
    [["verify", "sqlite:x", "--schema", "log"], /SQLite has no schemas/],
    [["log", "sqlite:x", "--after", "x"], /'--after <token>'.*'x' is invalid/],
    [
      ["log", "sqlite:x", "--upto", "1.5"],
      /'--upto <token>'.*'1.5' is invalid/,
    ],
    [["retain", "sqlite:x", "--max-age", "7d"], /no stream is named/],
    [["retain", "sqlite:x", "--stream", "a"], /give --max-age or --max-rows/],
    [
      ["retain", "sqlite:x", "--stream", "a", "--max-age", "7"],
      /'--max-age <age>'.*'7' is invalid. Give an age such as 90s/,
    ],
    [
      ["projections", "sqlite:x", "drop"],
      /'drop' is invalid.* list, parked, rebuild/,
    ],
    [["projections", "sqlite:x", "rebuild"], /none is named; give its name/],
    [
      ["projections", "sqlite:x", "parked"],
      /parked events of a projection: none/,
    ],
    [["projections", "sqlite:x", "list", "a"], /list takes no name/],
    [[
      "serve",
      "--database",
      "sqlite::memory:",
      "--listen",
      "tcp://:0",
      "--http",
      "x:y",
    ], /"x:y": give HOST:PORT/],
    [[
      "serve",
      "--database",
      "sqlite::memory:",
      "--listen",
      "tcp://:0",
      "--stream",
      "a b",
    ], /stream "a b"/],
    [[
      "serve",
      "--database",
      "sqlite::memory:",
      "--listen",
      "tcp://:0",
      "--synchronous",
      "off",
    ], /Allowed choices are full, normal/],
  ] as const
) {
  t.test(`headwater ${args.join(" ")}`, async (t) => {
    const { status, stdout, stderr } = await runHere(t, args);
    t.equal(status, 2);
    t.match(stderr, message);
    t.equal(stderr.trim().split("\n").length, 1);
    t.equal(stdout, "");
  });
}

for (
  const [args, text] of [
    [["--help"], /^Usage: headwater [^]*serve [^]*follow [^]*projections /],
    [
      ["serve", "--help"],
      /^Usage: headwater serve [^]*postgres:[^]*--http [^]*--table-prefix /,
    ],
    [["log", "--help"], /^Usage: headwater log [^]*--follow [^]*--json /],
    [["follow", "--help"], /^Usage: headwater follow [^]*--verbose /],
    [["--version"], new RegExp(`^${version.replaceAll(".", "\\.")}\n$`)],
  ] as const
) {
  t.test(`headwater ${args.join(" ")}`, async (t) => {
    const { status, stdout, stderr } = await runHere(t, args);
    t.equal(status, 0);
    t.match(stdout, text);
    t.equal(stderr, "");
  });
}

t.test("as a program: what it prints, and its exit status", async (t) => {
  t.match(await run("--version"), {
    status: 0,
    stdout: `${version}\n`,
    stderr: "",
  });
  t.match(await run("nonsense"), {
    status: 2,
    stdout: "",
    stderr: "error: unknown command 'nonsense'\n",
  });
  const { status, stderr } = await run(
    "serve",
    "--database",
    "sqlite:/no/such/folder/app.db",
    "--listen",
    "tcp://:0",
  );
  t.equal(status, 1);
  t.match(
    stderr,
    /^headwater: Cannot open database "\/no\/such\/folder\/app\.db"/,
  );
  t.equal(stderr.trim().split("\n").length, 1);
});

/** Runs it in this process, which takes a hundredth of a start; keeps what it prints. */
async function runHere(t: Test, args: readonly string[]) {
  const printed = [process.stdout, process.stderr].map((stream) =>
    t.capture(stream, "write", () => true)
  );
  const status = await runCommand(args);
  const [stdout, stderr] = printed.map((calls) => {
    calls.restore();
    return calls().map((call) => String(call.args[0])).join("");
  });
  return { status, stdout, stderr: String(stderr) };
}

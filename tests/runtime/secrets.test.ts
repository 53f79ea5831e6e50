// Passwords in addresses.

import t from "tap";
import { hideSecrets } from "../../src/runtime/secrets.ts";

t.test("hideSecrets() hides passwords, and nothing else", (t) => {
  const shown = [
    ["postgres://app:secret@host:5432/db", "postgres://app:…@host:5432/db"],
    [
      "postgres://host/db?user=a&password=secret",
      "postgres://host/db?user=a&password=…",
    ],
    ["redis://:secret@host", "redis://:…@host"],
    ["redis://secret@host", "redis://…@host"],
    ["redis://app:sec/r@et@host", "redis://app:…@host"],
    ["tcp://127.0.0.1:8823", "tcp://127.0.0.1:8823"],
    ["unix:/run/a@b", "unix:/run/a@b"],
    ["sqlite:app@home.db", "sqlite:app@home.db"],
  ];
  for (const [url, expected] of shown) {
    t.equal(hideSecrets(String(url)), expected);
  }
  t.end();
});

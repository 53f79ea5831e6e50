// Removes what an earlier build has left, so that dist/ holds this one only.
import { rmSync } from "node:fs";

rmSync(new URL("../../dist", import.meta.url), {
  recursive: true,
  force: true,
});

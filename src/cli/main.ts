#!/usr/bin/env node
/**
 * The `headwater` command, as a program.
 *
 * @module
 */

import process from "node:process";
import { runCommand } from "./run_command.ts";

const status = await runCommand(process.argv.slice(2));
if (status !== 0) process.exitCode = status;

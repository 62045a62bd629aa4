#!/usr/bin/env node
// Becomes a Node that can run Portico, under the same pid, and starts it. Plain JavaScript, like find-node.mjs.

import module from "node:module";
import { join } from "node:path";
import { replaceProcess } from "../posix/native.mjs";
import {
  isOutOfReach,
  makePrivateDirectory,
  runtimeDirectory,
} from "../posix/runtime-directory.mjs";
import { findNode } from "./find-node.mjs";

// Without it SIGUSR1, our "reopen logs", would open a debugger port.
const REQUIRED_FLAG = "--disable-sigusr1";

const node = findNode();
if (node === process.execPath && process.execArgv.includes(REQUIRED_FLAG)) {
  keepCompiledCode();
  await import("./portico.ts");
} else {
  if (node !== undefined)
    await replaceProcess(node, [REQUIRED_FLAG, ...process.execArgv, ...process.argv.slice(1)]);
  // Nothing replaced us.
  process.exitCode = 1;
}

/**
 * Compiled code is kept: a worker loads its modules in 120 ms instead of 300 and takes 29 MB less. In a private directory only: whoever can write
 * there runs code as us.
 */
function keepCompiledCode() {
  try {
    const directory = process.env.NODE_COMPILE_CACHE ?? join(runtimeDirectory(), "compile-cache");
    if (!makePrivateDirectory(directory) || !isOutOfReach(directory)) return;
    process.env.NODE_COMPILE_CACHE = directory;
    module.enableCompileCache(directory);
  } catch {
    // Nothing but time is lost.
  }
}

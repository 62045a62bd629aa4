#!/usr/bin/env node
// Finds a Node that can run Portico and becomes it, under the same pid. Plain JavaScript on purpose: an old Node
// must get as far as a helpful sentence.

import { existsSync } from "node:fs";
import module from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { replaceProcess } from "../posix/native.mjs";
import { makePrivateDirectory, runtimeDirectory } from "../posix/runtime-directory.mjs";

const WANTED_MAJOR = 26;
// Without it SIGUSR1, our "reopen logs", would open a debugger port.
const REQUIRED_FLAG = "--disable-sigusr1";

const bundledNode = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url));
const isNewEnough = Number(process.versions.node.split(".")[0]) >= WANTED_MAJOR;

if (isNewEnough && process.execArgv.includes(REQUIRED_FLAG)) {
  keepCompiledCode();
  await import("./portico.ts");
} else {
  const node = isNewEnough ? process.execPath : bundledNode;
  if (existsSync(node))
    await replaceProcess(node, [REQUIRED_FLAG, ...process.execArgv, ...process.argv.slice(1)]);
  console.error(
    `portico needs Node ${WANTED_MAJOR} or newer and runs under ${process.version} here. ` +
      `Install it, or run "npm ci" in ${fileURLToPath(new URL("..", import.meta.url))}, which brings one.`,
  );
  process.exitCode = 1;
}

/**
 * Compiled code is kept, so that workers start in a third of the time. In a private directory only: whoever can write
 * there runs code as us.
 */
function keepCompiledCode() {
  try {
    const directory = process.env.NODE_COMPILE_CACHE ?? join(runtimeDirectory(), "compile-cache");
    if (!makePrivateDirectory(directory)) return;
    process.env.NODE_COMPILE_CACHE = directory;
    module.enableCompileCache(directory);
  } catch {
    // Nothing but time is lost.
  }
}

// Runs the right Node with the arguments given, as `npm test` does: `node bin/node.mjs --test`.

import { replaceProcess } from "../posix/native.mjs";
import { findNode } from "./find-node.mjs";

const node = findNode();
if (node !== undefined) await replaceProcess(node, process.argv.slice(2));
process.exitCode = 1;

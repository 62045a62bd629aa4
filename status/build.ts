// Makes what is shipped: status.js and status.css from source/. The results are committed, because an installation has no
// build step; test/status/bundle.test.ts fails when they are stale. The only importer of esbuild.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const SOURCE = join(import.meta.dirname, "source");
const MODULES = join(import.meta.dirname, "../node_modules");
/** Packages whose code is in the bundle; their licences ask to be shipped with it. */
const PACKAGES = ["preact", "uplot"];

/** Writes status.js and status.css into `directory`. */
export async function buildStatusPage(directory: string): Promise<void> {
  await build({
    entryPoints: [join(SOURCE, "status.tsx"), join(SOURCE, "status.css")],
    outdir: directory,
    bundle: true,
    minify: true,
    format: "esm",
    charset: "utf8",
    // The first versions that know light-dark() and nesting.
    target: ["chrome123", "firefox121", "safari17.5"],
    // preact's only way to make markup of a string. Under another name it sets a property that no browser knows.
    mangleProps: /^innerHTML$/,
    banner: { js: licences(), css: "/* Made from status/source by `npm run build:status`. */" },
  });
}

function licences(): string {
  const texts = PACKAGES.map((name) => {
    const text = readFileSync(join(MODULES, name, "LICENSE"), "utf8").trim();
    return `${name}:\n\n${text}`;
  });
  const lines = ["Made from status/source by `npm run build:status`. Contains:", ...texts];
  return `/*!\n${lines.join("\n\n")}\n*/`;
}

if (import.meta.main) await buildStatusPage(import.meta.dirname);

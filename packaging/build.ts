// Makes build/portico/, the package as it is published: JavaScript, because Node reads no TypeScript below node_modules, with
// types beside it, and without what only development needs. `npm run package` packs it.

import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dirname, "..");

/** What is no code but needed at run time, or worth reading. */
const COPIED = [
  "README.md",
  "LICENSE",
  "docs",
  "config/manual.md",
  "examples",
  "packaging/logrotate",
  "packaging/portico.8",
  "packaging/portico.service",
  "status/icon.svg",
  "status/index.html",
  "status/status.css",
  "status/status.js",
];

/** Files that code looks for beside itself keep their names; only the ending changes. */
const OWN_FILE = /(new URL\("\.[^"]+)\.ts(", import\.meta\.url\))/g;

type Manifest = Record<string, unknown> & {
  readonly exports: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
};

/** Writes the package into `target`, which it makes anew. */
export function buildPackage(target: string): void {
  rmSync(target, { recursive: true, force: true });
  const compile = ["-p", join(ROOT, "packaging"), "--outDir", target];
  execFileSync(join(ROOT, "node_modules/.bin/tsc"), compile, { stdio: "inherit" });
  for (const file of globSync("**/*.js", { cwd: target })) {
    const path = join(target, file);
    const code = readFileSync(path, "utf8");
    const adapted = code.replace(OWN_FILE, "$1.js$2");
    if (adapted !== code) writeFileSync(path, adapted);
  }
  rmSync(join(target, "bin/portico.d.mts"));
  for (const path of COPIED) {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    cpSync(join(ROOT, path), join(target, path), { recursive: true });
  }
  writeFileSync(join(target, "package.json"), JSON.stringify(publishedManifest(), undefined, 2));
}

/** Node itself is not brought along: 200 MB, and whoever installs a package has one. */
function publishedManifest(): Record<string, unknown> {
  const text = readFileSync(join(ROOT, "package.json"), "utf8");
  const { name, version, description, license, type, bin, dependencies, exports } = JSON.parse(
    text,
  ) as Manifest;
  return {
    name,
    version,
    description,
    license,
    type,
    bin,
    exports: Object.fromEntries(
      Object.entries(exports).map(([path, file]) => {
        const base = file.replace(/\.ts$/, "");
        return [path, { types: `${base}.d.ts`, default: `${base}.js` }];
      }),
    ),
    engines: { node: ">=26.10" },
    dependencies,
  };
}

if (import.meta.main) buildPackage(join(ROOT, "build/portico"));

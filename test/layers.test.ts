import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";
import test from "node:test";

const ROOT = join(import.meta.dirname, "..");
const IMPORT =
  /^(?:import|export)\s[^;]*?from\s+"([^"]+)"|\bimport\("([^"]+)"\)|^import\s+"([^"]+)"/gm;

type Layer = { readonly folder: string; readonly mayImport: readonly string[] };

/** The rows `| folder | holds | may import |` of ARCHITECTURE.md. */
function readLayers(): Layer[] {
  const text = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  return [...text.matchAll(/^\| `(\w+)\/` \|[^|]*\|([^|]*)\|$/gm)].map(
    ([, folder = "", allowed = ""]) => ({
      folder: `${folder}/`,
      mayImport: allowed.includes("everything")
        ? [""]
        : [...allowed.matchAll(/`([^`]+)`/g)].map(([, path = ""]) => path),
    }),
  );
}

function readImports(file: string): string[] {
  const source = readFileSync(join(ROOT, file), "utf8");
  return [...source.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

const layers = readLayers();
const files = globSync(
  "{config,embed,ipc,log,posix,supervisor,worker,plugins,bin,status,test,loadtest}/**/*.{ts,tsx,mjs}",
  { cwd: ROOT, exclude: ["**/*.d.mts"] },
);

test("ARCHITECTURE.md names every folder of code", () => {
  const folders = new Set(files.map((file) => `${file.split("/")[0]}/`));
  assert.deepEqual(
    [...folders].filter((folder) => !layers.some((layer) => layer.folder === folder)),
    [],
  );
  assert.ok(files.length > 40, "the search for files found too few to prove anything");
});

test("every import follows the folder table", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const layer = layers.find(({ folder }) => file.startsWith(folder));
    for (const target of readImports(file).filter((name) => name.startsWith("."))) {
      const path = normalize(join(dirname(file), target));
      assert.ok(existsSync(join(ROOT, path)), `${file} imports ${target}, which does not exist`);
      const isOwn = path.startsWith(layer?.folder ?? "?");
      if (!isOwn && !layer?.mayImport.some((allowed) => path.startsWith(allowed)))
        wrong.push(`${file} -> ${path}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("no file outside test/ imports itself over others", () => {
  const graph = new Map(
    files
      .filter((file) => !file.startsWith("test/"))
      .map((file) => [
        file,
        readImports(file)
          .filter((name) => name.startsWith("."))
          .map((name) => normalize(join(dirname(file), name))),
      ]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  function visit(file: string, path: readonly string[]): void {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
    if (done.has(file) || path.includes(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  }
  for (const file of graph.keys()) visit(file, []);
  assert.deepEqual(cycles, []);
});

test("no server imports node:http, which brings fetch and WebSocket; worker/http/lean-http.ts has it", () => {
  const served = /^(?:config|ipc|log|posix|supervisor|worker|plugins|bin)\//;
  const values = /^import\s+(?!type\b)[^;]*?from\s+"node:http";/m;
  const wrong = files.filter(
    (file) => served.test(file) && values.test(readFileSync(join(ROOT, file), "utf8")),
  );
  assert.deepEqual(wrong, []);
  assert.match('import { createServer, type Server } from "node:http";', values);
});

test("every npm package is imported by one file only", () => {
  const importers = new Map<string, Set<string>>();
  for (const file of files.filter((name) => !name.startsWith("test/"))) {
    for (const name of readImports(file)) {
      if (name.startsWith(".") || name.startsWith("node:") || builtinModules.includes(name))
        continue;
      const packageName = name
        .split("/")
        .slice(0, name.startsWith("@") ? 2 : 1)
        .join("/");
      importers.set(packageName, (importers.get(packageName) ?? new Set()).add(file));
    }
  }
  assert.deepEqual(
    [...importers]
      .filter(([, where]) => where.size > 1)
      .map(([name, where]) => `${name}: ${[...where].join(", ")}`),
    [],
  );
  assert.ok(importers.has("ws"), "the search for imports found too few to prove anything");
});

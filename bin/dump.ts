// `portico dump`: the configuration as it takes effect, each value with the place it was written at.
// What may be a secret is not shown: see `freeValue`.

import { globalKind, mountKind, vhostKind } from "../config/kinds.ts";
import { vhostKey } from "../config/listeners.ts";
import { loadConfig, type LoadedConfig } from "../config/load.ts";
import type { Kind } from "../config/members.ts";
import { keysOfSchemes, type MountConfig } from "../config/mount.ts";
import { printable, printableJson } from "../config/printable.ts";
import { HIDDEN, hidePasswords, isSecretName } from "../config/secret-names.ts";
import { createProvenance, type Provenance, type Written } from "../config/provenance.ts";
import type { VhostConfig } from "../config/vhost.ts";
import { formatOrigin } from "../supervisor/greeting.ts";
import { reportFailure } from "./report.ts";
import { alignColumns } from "./table.ts";

/** Prints it for people or for programs. Returns the exit status. */
export async function dump(directory: string, asJson: boolean): Promise<number> {
  try {
    const loaded = await loadConfig(directory);
    console.log(asJson ? printableJson(effectiveValues(loaded)) : formatDump(loaded));
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
}

/** One value that takes effect. */
type EffectiveValue = {
  /** Over all files: "vhosts[2].mounts[0].origin". */
  readonly path: string;
  readonly value: unknown;
  readonly from: Pick<Written, "file" | "line" | "column"> | "default";
};

/** Every value in the order of the manual. Keys that have neither a value nor a default are left out. */
function effectiveValues(loaded: LoadedConfig): EffectiveValue[] {
  return sections(loaded).flatMap(({ path, values }) =>
    values.map(({ key, value, from }) => ({ path: `${path}.${key}`, value, from })),
  );
}

/** The same for people: a block for each object, with key, place and value side by side. */
function formatDump(loaded: LoadedConfig): string {
  const { directory } = loaded.config;
  const files = loaded.sources.map(({ file }) => file).join(", ");
  const blocks = sections(loaded)
    .filter(({ values }) => values.length > 0)
    .map(({ title, values }) => {
      const rows = values.map(({ key, value, from }) => [
        `  ${key}`,
        from === "default" ? from : `${from.file}:${from.line}:${from.column}`,
        JSON.stringify(value),
      ]);
      return [printable(title), ...alignColumns(rows)].join("\n");
    });
  return [`${directory}: ${files}`, ...blocks].join("\n\n");
}

type Value = Omit<EffectiveValue, "path"> & { readonly key: string };
type Section = { readonly path: string; readonly title: string; readonly values: readonly Value[] };

function sections(loaded: LoadedConfig): Section[] {
  const { config } = loaded;
  const provenance = createProvenance(loaded.sources);
  const inGlobal = { file: "", path: "global" };
  return [
    {
      path: "global",
      title: "global",
      values: valuesOf(globalKind, config.global, inGlobal, provenance),
    },
    ...config.vhosts.flatMap((vhost, index) => vhostSections(loaded, vhost, index, provenance)),
  ];
}

function vhostSections(
  loaded: LoadedConfig,
  vhost: VhostConfig,
  index: number,
  provenance: Provenance,
): Section[] {
  const { file, path: inFile } = vhost.where;
  const path = `vhosts[${index}]`;
  const name = vhostKey(vhost);
  return [
    { path, title: `vhost ${name}`, values: valuesOf(vhostKind, vhost, vhost.where, provenance) },
    ...vhost.mounts.map((mount) => ({
      path: `${path}.${mount.path}`,
      title: `vhost ${name}, mount ${mount.mountpoint}`,
      values: mountValues(mount, { file, path: `${inFile}.${mount.path}` }, provenance),
    })),
    {
      path: `${path}.ws-protocols`,
      title: `vhost ${name}, ws-protocols`,
      values: protocolValues(loaded, vhost, index, provenance),
    },
  ];
}

function mountValues(
  mount: MountConfig,
  where: VhostConfig["where"],
  provenance: Provenance,
): Value[] {
  const { before, ...keys } = mount;
  const [first, second] = provenance.written(where, ["origin"]);
  return valuesOf(mountKind, keys, where, provenance).flatMap((value) => {
    const isIdle = keysOfSchemes[value.key]?.includes(mount.origin.scheme) === false;
    if (isIdle && value.from === "default") return [];
    if (value.key !== "origin") return [value];
    const origin = {
      key: "origin",
      value: formatOrigin(mount.origin),
      from: placeOf(first),
    };
    if (before === undefined) return [origin];
    return [origin, { key: "origin", value: `callback://${before}`, from: placeOf(second) }];
  });
}

/** The options of plugins are known to the plugins only: they are shown as written. */
function protocolValues(
  loaded: LoadedConfig,
  vhost: VhostConfig,
  index: number,
  provenance: Provenance,
): Value[] {
  const written = provenance.written(vhost.where, ["ws-protocols"]);
  return vhost["ws-protocols"].flatMap(({ name, path }): Value[] => {
    // In an array of objects "[0].name", in one object "name".
    const below = path.slice("ws-protocols".length).replace(/^\./, "");
    const options = written.filter((one) => one.path.startsWith(`${below}.`));
    if (options.length > 0)
      return options.map((one) => freeValue(name + one.path.slice(below.length), one));
    const place = loaded.place({ vhost: index, path, message: "" });
    return [{ key: name, value: {}, from: placeOf(place) }];
  });
}

function valuesOf(
  kind: Kind,
  effective: Readonly<Record<string, unknown>>,
  where: VhostConfig["where"],
  provenance: Provenance,
): Value[] {
  const aliases = Object.entries(kind.aliases);
  return Object.keys(kind.shape.shape).flatMap((key): Value[] => {
    const value = effective[key];
    const spellings = [key, ...aliases.flatMap(([alias, name]) => (name === key ? [alias] : []))];
    const written = provenance.written(where, spellings);
    const [first] = written;
    if (value === undefined || isEmpty(value)) return [];
    if (!first) return [{ key, value, from: "default" }];
    if (Array.isArray(value) && value.length === written.length && value.every(isScalar))
      return written.map((one, index) => ({ key, value: value[index], from: placeOf(one) }));
    if (first.path === "") return [{ key, value: inCharacters(key, value), from: placeOf(first) }];
    return written.map((one) => freeValue(`${key}.${one.path.replace(/^\[\d+\]\.?/, "")}`, one));
  });
}

type Place = { readonly file: string; readonly line?: number; readonly column?: number };

function placeOf(place: Place | undefined): Value["from"] {
  return place ? { file: place.file, line: place.line ?? 1, column: place.column ?? 1 } : "default";
}

/** A header, a variable or an option. Names in it are left as written: what the environment has for them may be a secret. */
function freeValue(key: string, { value, ...place }: Written): Value {
  // What it is called begins behind "headers", "cgi-env" or the protocol.
  const name = key.slice(key.indexOf(".") + 1);
  const shown = typeof value === "string" ? hidePasswords(value) : value;
  return { key, value: isSecretName(name) ? HIDDEN : shown, from: placeOf(place) };
}

/** The Server header is kept as bytes. */
function inCharacters(key: string, value: unknown): unknown {
  if (key !== "server-string" || typeof value !== "string") return value;
  return Buffer.from(value, "latin1").toString("utf8");
}

function isScalar(value: unknown): boolean {
  return typeof value !== "object";
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

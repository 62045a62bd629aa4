// Files -> protocol definitions -> protocols running on a vhost. What does not fit is a problem, never a crash.
// A bundled plugin's file is named like its protocol, so only those a configuration names are loaded.

import { readdir } from "node:fs/promises";
import { createRequire, registerHooks } from "node:module";
import { basename, extname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { ProtocolConfig } from "../config/protocol.ts";
import { suggest } from "../config/suggest.ts";
import type { VhostConfig } from "../config/vhost.ts";
import { noActivity, type Activity } from "./activity.ts";
import { activityName } from "./protocol-context.ts";
import { createProtocolHost, type ProtocolHost } from "./protocol-host.ts";
import type { ProtocolContext, ProtocolDefinition } from "./protocol.ts";

const PLUGIN_FILE = /(?<!\.d)\.(?:ts|mts|js|mjs)$/;
/** A name travels in Sec-WebSocket-Protocol, so it is a token (RFC 9110 5.6.2). */
const PROTOCOL_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
export type PluginProblem = { readonly file: string; readonly message: string };

export type LoadedPlugins = {
  readonly protocols: ReadonlyMap<string, ProtocolDefinition>;
  /** Every name there is, loaded or not, for messages. */
  readonly known: readonly string[];
  readonly problems: readonly PluginProblem[];
};

export type PluginSources = {
  /** Each plugin in them is loaded. */
  readonly directories: readonly string[];
  /** Names of protocols; bundled ones among them are loaded. */
  readonly wanted: ReadonlySet<string>;
  /** npm packages and files that configurations name, looked for from `base`. */
  readonly packages?: readonly string[];
  /** The configuration directory. */
  readonly base?: string;
};

/** Loads plugins from where they are. */
export async function loadPlugins(sources: PluginSources): Promise<LoadedPlugins> {
  const { directories, wanted, packages = [], base = "." } = sources;
  const protocols = new Map<string, ProtocolDefinition>();
  const problems: PluginProblem[] = [];
  /** Which file gives a name. */
  const owners = new Map<string, string>();

  const bundled = await pluginFiles(fileURLToPath(new URL("../plugins", import.meta.url)));
  for (const file of bundled.files) owners.set(protocolOf(file), file);
  const needed = bundled.files.filter((file) => wanted.has(protocolOf(file)));
  const added = await Promise.all(
    [...new Set(directories.map((directory) => resolve(directory)))].map(pluginFiles),
  );
  for (const { problem } of [bundled, ...added]) if (problem) problems.push(problem);

  const named: string[] = [];
  const require = createRequire(resolve(base, "conf"));
  for (const name of new Set(packages)) {
    try {
      named.push(require.resolve(name));
    } catch (error) {
      const [message = ""] = messageOf(error).split("\n");
      problems.push({ file: name, message: `Cannot find the plugin: ${message}` });
    }
  }

  if (directories.length > 0 || packages.length > 0) answerOwnImports();
  const files = [
    ...new Set([...needed, ...added.flatMap((directory) => directory.files), ...named]),
  ];
  const found = await Promise.all(files.map(importPlugin));
  for (const [index, definition] of found.entries()) {
    const file = files[index] ?? "";
    if (typeof definition === "string") {
      problems.push({ file, message: definition });
      continue;
    }
    const owner = owners.get(definition.name) ?? file;
    if (owner !== file || protocols.has(definition.name)) {
      const message = `Protocol "${definition.name}" is already given by ${owner}`;
      problems.push({ file, message });
      continue;
    }
    owners.set(definition.name, file);
    protocols.set(definition.name, definition);
  }
  return { protocols, known: [...owners.keys()].toSorted(), problems };
}

/** What a plugin from outside imports of this server: the server that loads it, so that it needs none of its own. */
const OWN_MODULES: Readonly<Record<string, string>> = {
  "portico/protocol": new URL("./protocol.ts", import.meta.url).href,
  "portico/shape": new URL("../config/shape.ts", import.meta.url).href,
};

/** Once is enough; the hook of a second call is never asked. */
function answerOwnImports(): void {
  registerHooks({
    resolve(specifier, context, next) {
      const url = Object.hasOwn(OWN_MODULES, specifier) ? OWN_MODULES[specifier] : undefined;
      return url === undefined ? next(specifier, context) : { url, shortCircuit: true };
    },
  });
}

/** Starts the protocols a vhost enables; what cannot start is told to `refuse` by its path in the vhost. */
export function startProtocols(
  vhost: VhostConfig,
  plugins: LoadedPlugins,
  makeContext: (name: string) => ProtocolContext,
  refuse: (path: string, message: string) => void,
  activity: Activity = noActivity,
): ReadonlyMap<string, ProtocolHost> {
  const hosts = new Map<string, ProtocolHost>();
  for (const config of vhost["ws-protocols"]) {
    const { name, path, keys, isDefault } = config;
    const definition = plugins.protocols.get(name);
    if (!definition) {
      const known = plugins.known.join(", ");
      const near = suggest(name, plugins.known);
      refuse(path, `No plugin serves protocol "${name}", known are ${known}${near}`);
      continue;
    }
    if (hosts.has(name)) {
      refuse(path, `Protocol "${name}" is enabled twice on this vhost`);
      continue;
    }
    const decoded = decodeOptions(config, definition, refuse);
    if (!decoded) continue;
    try {
      const instance: unknown = definition.start(makeContext(name), decoded.options);
      if (typeof instance === "object" && instance !== null && !(instance instanceof Promise)) {
        const noted = activity.named(activityName(name, vhost));
        hosts.set(name, createProtocolHost(definition, instance, keys, isDefault, noted));
        continue;
      }
      refuse(path, `Protocol "${name}" did not start: start() has to return its hooks`);
      if (instance instanceof Promise) instance.catch(() => {}); // its outcome is refused already
    } catch (error) {
      refuse(path, `Protocol "${name}" did not start: ${messageOf(error)}`);
    }
  }
  return hosts;
}

async function pluginFiles(
  directory: string,
): Promise<{ readonly files: readonly string[]; readonly problem?: PluginProblem }> {
  try {
    const names = await readdir(directory);
    const plugins = names.filter((name) => PLUGIN_FILE.test(name)).toSorted();
    return { files: plugins.map((name) => join(directory, name)) };
  } catch (error) {
    const message = `Cannot read the plugin directory: ${messageOf(error)}`;
    return { files: [], problem: { file: directory, message } };
  }
}

function protocolOf(file: string): string {
  return basename(file, extname(file));
}

/** The definition a file exports, or what is wrong with it. */
async function importPlugin(file: string): Promise<ProtocolDefinition | string> {
  try {
    const claimed: { default: ProtocolDefinition } = await import(pathToFileURL(file).href);
    return flawOf(claimed.default) ?? claimed.default;
  } catch (error) {
    return `Cannot load the plugin: ${messageOf(error)}`;
  }
}

function flawOf(exported: unknown): string | undefined {
  if (typeof exported !== "object" || exported === null)
    return "Expected a default export made by defineProtocol()";
  const { name, start, options, maxMessageBytes, sendQueue } =
    exported as Partial<ProtocolDefinition>;
  if (typeof name !== "string" || !PROTOCOL_NAME.test(name))
    return `Expected a protocol name such as "my-protocol", got ${JSON.stringify(name)}`;
  if (typeof start !== "function") return `Protocol "${name}" has no start()`;
  if (options !== undefined && typeof options?.parse !== "function")
    return `The options of protocol "${name}" are not a shape`;
  for (const [what, bytes] of Object.entries({
    maxMessageBytes,
    "sendQueue.maxBytes": sendQueue?.maxBytes,
  }))
    if (bytes !== undefined && !(Number.isSafeInteger(bytes) && bytes > 0))
      return `${what} of protocol "${name}" is not a number of bytes`;
  if (!["close", "drop", "newest", undefined].includes(sendQueue?.whenFull))
    return `sendQueue.whenFull of protocol "${name}" is none of close, drop, newest`;
  return undefined;
}

function decodeOptions(
  config: ProtocolConfig,
  definition: ProtocolDefinition,
  refuse: (path: string, message: string) => void,
): { readonly options: unknown } | undefined {
  const { options } = config;
  if (!definition.options) {
    const names = Object.keys(options);
    for (const name of names)
      refuse(`${config.path}.${name}`, `Protocol "${config.name}" takes no option "${name}"`);
    return names.length > 0 ? undefined : { options };
  }
  try {
    return { options: definition.options.parse(options) };
  } catch (error) {
    for (const flaw of shapeFlaws(error)) refuse(config.path + flaw.path, flaw.message);
    return undefined;
  }
}

type ShapeIssue = {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
};

/** What a shape says of a value, with the path below it such as ".update-ms" or ".rooms[2]". */
function shapeFlaws(error: unknown): { readonly path: string; readonly message: string }[] {
  if (!(error instanceof Error && "issues" in error && Array.isArray(error.issues)))
    return [{ path: "", message: messageOf(error) }];
  return error.issues.flatMap(({ code, path: keys, message, keys: unknown }: ShapeIssue) => {
    const path = keys
      .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
      .join("");
    if (code !== "unrecognized_keys" || !unknown) return [{ path, message }];
    return unknown.map((key) => ({ path: `${path}.${key}`, message: `Unknown option "${key}"` }));
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

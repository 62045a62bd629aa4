// `portico explain URL`: which listener, vhost, mount and file or program would answer, and why.

import { loadConfig, type LoadedConfig } from "../config/load.ts";
import { printable, printableJson } from "../config/printable.ts";
import { createLogger } from "../log/logger.ts";
import { formatOrigin } from "../supervisor/greeting.ts";
import { findUser } from "../supervisor/launch.ts";
import { HttpError } from "../worker/http/exchange.ts";
import { http } from "../worker/http/lean-http.ts";
import { dropPrivileges } from "../worker/privileges.ts";
import { describeGuard } from "./explain-guard.ts";
import { findAnswer, type Answer } from "./explain-answer.ts";
import { ExplainError, findRoutes, readUrl, type Asked, type Route } from "./explain-route.ts";
import { reportFailure } from "./report.ts";
import { alignColumns } from "./table.ts";

export type ExplainOptions = {
  readonly directory: string;
  readonly url: string;
  readonly json: boolean;
};

/** One vhost that the URL reaches, and what would happen there. */
type Explanation = {
  readonly listeners: readonly string[];
  readonly vhost: { readonly name: string; readonly place: string; readonly why: string };
  readonly path: string;
  readonly mount:
    | {
        readonly mountpoint: string;
        readonly place: string;
        readonly why: string;
        readonly origin: string;
        /** A protocol that sees requests before the origin does. */
        readonly before?: string;
      }
    | undefined;
  /** What a client has to be or to know before that. */
  readonly guard?: string;
  readonly answer: Answer;
};

/** Prints the explanation. Returns the exit status: 1 when there is nothing to explain. */
export async function explain({ directory, url, json }: ExplainOptions): Promise<number> {
  try {
    const loaded = await loadConfig(directory);
    becomeWorkerUser(loaded);
    const found = await explainUrl(loaded, url);
    console.log(json ? printableJson(found) : found.map(formatExplanation).join("\n\n"));
    return 0;
  } catch (error) {
    if (!(error instanceof ExplainError)) return reportFailure(error);
    console.error(`portico: ${printable(error.message)}`);
    return 1;
  }
}

/** Every vhost that a URL reaches and what it would answer. Throws ExplainError when there is none. */
export async function explainUrl(loaded: LoadedConfig, url: string): Promise<Explanation[]> {
  const asked = readUrl(url);
  if (asked instanceof HttpError) {
    const status = `${asked.status} ${http.STATUS_CODES[asked.status]}`;
    throw new ExplainError(`${status} before any vhost is chosen: ${asked.message}`);
  }
  const log = await createLogger({ name: "explain", level: "silent" });
  return Promise.all(
    findRoutes(loaded.config, asked).map((route) => explainRoute(loaded, asked, route, log)),
  );
}

/** What may be read is decided by who reads. */
function becomeWorkerUser(loaded: LoadedConfig): void {
  const user = findUser(loaded, () => {});
  if (user && process.getuid?.() === 0) dropPrivileges(user);
}

async function explainRoute(
  loaded: LoadedConfig,
  asked: Asked,
  route: Route,
  log: Awaited<ReturnType<typeof createLogger>>,
): Promise<Explanation> {
  const vhost = loaded.config.vhosts[route.vhost];
  if (!vhost) throw new Error(`No vhost ${route.vhost}`);
  const placeOf = (path: string): string => {
    const { file, line, column } = loaded.place({ vhost: route.vhost, path, message: "" });
    return `${file}:${line}:${column}`;
  };
  const config = asked.isWebSocket ? undefined : route.match?.config;
  const guard = describeGuard(vhost, route.match?.config);
  return {
    listeners: route.listeners,
    vhost: { name: vhost.name, place: placeOf("name"), why: route.why },
    path: Buffer.from(asked.head.path, "latin1").toString("utf8"),
    mount: config && {
      mountpoint: config.mountpoint,
      place: placeOf(config.path),
      why: config["exact-match"]
        ? "exact-match, and the path is the mountpoint"
        : "the longest mountpoint that covers the path",
      origin: formatOrigin(config.origin),
      ...(config.before !== undefined && { before: config.before }),
    },
    ...(guard !== undefined && { guard }),
    answer: await findAnswer(asked, vhost, route.match, log),
  };
}

function formatExplanation({ listeners, vhost, path, mount, guard, answer }: Explanation): string {
  const status =
    answer.status === undefined ? "" : `${answer.status} ${http.STATUS_CODES[answer.status]}: `;
  const rows = [
    ["listener", listeners.join(", ")],
    ["vhost", `${vhost.name} (${vhost.place}): ${vhost.why}`],
    ["path", path],
  ];
  if (mount) {
    rows.push(["mount", `${mount.mountpoint} (${mount.place}): ${mount.why}`]);
    if (mount.before !== undefined)
      rows.push(["before", `the protocol ${mount.before} sees the request first`]);
    rows.push(["origin", mount.origin]);
  }
  if (guard !== undefined) rows.push(["needs", guard]);
  rows.push(["answer", status + answer.says]);
  for (const [name, value] of answer.headers) rows.push(["", `${name}: ${value}`]);
  return alignColumns(rows).join("\n");
}

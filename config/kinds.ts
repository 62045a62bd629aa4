// The kinds of objects that a configuration is made of, and every key of each: the one table that the reader, the JSON
// Schema and the manual are drawn from.

import {
  inertGlobalKeys,
  inertMountKeys,
  inertProtocolKeys,
  inertVhostKeys,
} from "./inert-keys.ts";
import type { Kind } from "./members.ts";
import { mountPaths, mountShape } from "./mount.ts";
import { globalPaths, globalShape } from "./server.ts";
import { protocolPaths, protocolShape } from "./protocol.ts";
import { object } from "./shape.ts";
import { vhostPaths, vhostShape } from "./vhost.ts";

export const fileKind: Kind = {
  title: "a configuration file",
  shape: object({}),
  paths: [],
  others: {
    global:
      "Settings of the whole server. Several files may have one; of a key given twice the last one read holds.",
    vhosts: "The virtual hosts, an array. Those of all files count.",
    $schema:
      "Where an editor finds the schema of this file (portico schema prints it). Not read here.",
  },
  inert: {},
  aliases: {},
};

export const globalKind: Kind<typeof globalShape> = {
  title: '"global"',
  shape: globalShape,
  paths: globalPaths,
  others: {},
  inert: inertGlobalKeys,
  aliases: {},
};

export const vhostKind: Kind<typeof vhostShape> = {
  title: "a vhost",
  shape: vhostShape,
  paths: vhostPaths,
  others: {
    mounts: "What answers where in the URL space, an array of mounts.",
    "ws-protocols":
      "WebSocket protocols of this vhost: an object with a member for each, its name and its options, or an array of such objects.",
  },
  inert: inertVhostKeys,
  aliases: { "keepalive-timeout": "keepalive_timeout", onlyraw: "apply-listen-accept" },
  needs: (keys) => (keys.has("unix-socket") ? [] : ["port"]),
};

export const mountKind: Kind<typeof mountShape> = {
  title: "a mount",
  shape: mountShape,
  paths: mountPaths,
  others: {},
  inert: inertMountKeys,
  aliases: {},
  needs: () => ["mountpoint", "origin"],
};

/** The options of a protocol that are the server's; all others are the plugin's, whose own shape decodes them. */
export const protocolKind: Kind<typeof protocolShape> = {
  title: "a protocol",
  shape: protocolShape,
  paths: protocolPaths,
  others: {
    default:
      "Makes it the protocol of clients that name none. Counts by being there, whatever its value, as in lwsws.",
    status: "Means nothing; lwsws needs at least one option to enable a protocol.",
  },
  inert: inertProtocolKeys,
  aliases: {},
};

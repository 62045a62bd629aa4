// A configuration as a program writes it: the keys of the files, with the values that JSON has for them.

import type { MountConfig } from "./mount.ts";
import type { ProtocolKeys } from "./protocol.ts";
import type { GlobalConfig } from "./server.ts";
import type { VhostKeys } from "./vhost.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** What may be written for a value that is read as T. */
type Written<T> = T extends boolean
  ? boolean | number | string
  : T extends number
    ? number | string
    : T extends string
      ? string | number
      : Json;

type Keys<T> = { readonly [K in keyof T]?: Written<Exclude<T[K], undefined>> | null };

export type GivenMount = Keys<Omit<MountConfig, "mountpoint" | "origin" | "path" | "before">> & {
  readonly mountpoint: string;
  readonly origin: string;
};

/** The plugin's own options stand beside the keys of the server. */
export type GivenProtocol = Keys<ProtocolKeys> & { readonly [option: string]: Json | undefined };

export type GivenVhost = Keys<VhostKeys> & {
  readonly mounts?: readonly GivenMount[];
  readonly "ws-protocols"?: Readonly<Record<string, GivenProtocol>>;
};

export type GivenConfig = {
  readonly global?: Keys<GlobalConfig>;
  readonly vhosts?: readonly GivenVhost[];
};

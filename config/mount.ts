// One mount: a part of the URL space and what answers there.

import type { HeaderPair } from "./vhost.ts";

export type Origin =
  | { readonly scheme: "file"; readonly directory: string }
  | { readonly scheme: "cgi"; readonly program: string }
  | { readonly scheme: "redirect"; readonly location: string }
  | { readonly scheme: "callback"; readonly protocol: string };

export type MountConfig = {
  /** Starts with "/", no slash at the end unless it is "/". */
  readonly mountpoint: string;
  readonly origin: Origin;
  readonly default: string;
  readonly headers: readonly HeaderPair[];
  readonly "extra-mimetypes": Readonly<Record<string, string>>;
  readonly "cache-max-age": number;
  readonly "cache-reuse": boolean;
  readonly "cache-revalidate": boolean;
  readonly "cache-intermediaries": boolean;
  readonly "cache-no": boolean;
  readonly "cgi-timeout": number;
  readonly "cgi-env": readonly (readonly [name: string, value: string])[];
  readonly "cgi-chdir"?: string;
  readonly "append-path": boolean;
  readonly "exact-match": boolean;
  /** Options for the protocol behind a callback mount, as written. */
  readonly pmo: Readonly<Record<string, unknown>>;
  /** Where it stands, for messages: "mounts[1]". */
  readonly path: string;
};

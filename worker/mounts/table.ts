// Every mount type there is. A new one adds one line.

import type { AnyMountType } from "../mount.ts";
import { callback } from "./callback.ts";
import { cgi } from "./cgi/cgi.ts";
import { file } from "./file/file.ts";
import { fcgi } from "./cgi/fcgi.ts";
import { git } from "./cgi/git.ts";
import { health } from "./health.ts";
import { metrics } from "./metrics/metrics.ts";
import { redirect } from "./redirect.ts";

export const mountTypes: readonly AnyMountType[] = [
  file,
  redirect,
  cgi,
  git,
  fcgi,
  callback,
  metrics,
  health,
];

// Every mount type there is. A new one adds one line.

import type { MountType } from "../mount.ts";

export const mountTypes: readonly MountType[] = [];

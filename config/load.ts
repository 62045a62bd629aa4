// A directory of files -> one frozen ServerConfig, or every problem at once. The only disk access of config/.

import type { Problem, ProvisionProblem } from "./problems.ts";
import type { ServerConfig } from "./server.ts";

export type LoadedConfig = {
  readonly config: ServerConfig;
  /** Warnings and notices; errors never get this far. */
  readonly remarks: readonly Problem[];
  /** Gives a worker's finding its file, line and column. */
  place(found: ProvisionProblem): Problem;
};

/** Reads `directory/conf` and `directory/conf.d/*`. Throws ConfigError with every problem found. */
export async function loadConfig(directory: string): Promise<LoadedConfig> {
  throw new Error(`Not written yet: ${directory}`);
}

// Entry of a worker process. The supervisor starts it; there is no use in running it by hand.

import { runWorker } from "../worker/worker.ts";

await runWorker();

// Apart, so that the command line can know it without loading all keys.

/** For "count-threads" and --workers. */
export const MAX_WORKERS = 1024;

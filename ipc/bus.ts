// Limits of the bus that both ends keep: plugins hear of them in a worker, the supervisor believes no worker.

/** Longest topic of a plugin, bytes in UTF-8. */
export const MAX_TOPIC_BYTES = 1024;
/** Longest name of what belongs to one protocol of one vhost. */
export const MAX_SCOPE_BYTES = 4096;

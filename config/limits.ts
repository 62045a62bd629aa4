// How much of everything a client may have: the keys of "global", of a vhost and of a mount that bound it.

import { check, integer, seconds, size } from "./shape.ts";

/** Node's parser holds a head in memory, once for each connection. */
const MAX_HEADER_BYTES = 1024 * 1024;
const MAX_HEADER_FIELDS = 2_000;
/** lwsws's fixed limit. */
const DEFAULT_BODY_BYTES = 100 * 1024 * 1024;

/** Limits that hold before it is known which vhost is asked for, or for all of them together. */
export const globalLimits = {
  "header-secs": seconds(1).exactOptional().meta({
    description:
      "Longest time from the first byte of a request, or the start of the connection, to the end of its header, however it trickles in; then 408. By default timeout-secs.",
  }),
  "send-secs": seconds(1).default(30).meta({
    description:
      "A client that takes nothing of its answer for this long is cut. Files up to the size of the kernel's buffers never wait for it.",
  }),
  "min-body-rate": integer({ min: 0 }).default(500).meta({
    description:
      "Bytes per second that the body of a request has to come at on average, timeout-secs granted; less gets 408. 0 asks for no rate. However long a faster upload takes, it is not cut.",
  }),
  "min-send-rate": integer({ min: 0 }).default(500).meta({
    description:
      "Bytes per second that a client has to take of its answer on average, send-secs granted; a slower one is cut. 0 asks for no rate.",
  }),
  "max-header-bytes": check(size(), (value) =>
    value >= 1024 && value <= MAX_HEADER_BYTES
      ? undefined
      : `Expected 1k to ${MAX_HEADER_BYTES / 1024}k, got ${value}`,
  )
    .default(16 * 1024)
    .meta({
      description: "Request line and header fields together; more gets 431.",
    }),
  "max-header-fields": integer({ min: 10, max: MAX_HEADER_FIELDS })
    .default(200)
    .meta({ description: "Header fields of a request; more get 431." }),
  "max-uri-bytes": size()
    .default(8 * 1024)
    .meta({
      description: "Length of the request target, query included; a longer one gets 414.",
    }),
  "max-requests": integer({ min: 0 }).default(10_000).meta({
    description:
      "Requests on one connection; the last answer says Connection: close. 0 means no limit.",
  }),
  "max-connections": integer({ min: 0 }).default(0).meta({
    description:
      "Connections of one worker. 0 means as many as its limit of open files allows, less some for logs, files and programs. At the limit idle connections are closed first; then new clients get 503, over TLS just the end.",
  }),
  "ip-limit-wsi": integer({ min: 0 }).default(0).meta({
    description:
      "Connections of one worker from one client address, of IPv6 from one /64; more are closed at once. 0 means no limit. Behind proxies it counts the address that the PROXY protocol tells, or else the proxy's.",
  }),
  "file-cache-bytes": size()
    .default(64 * 1024 * 1024)
    .meta({
      description:
        "Memory of each worker for files of up to 256k, kept ready to be sent. A file that was changed, replaced or removed is noticed within a second. 0 keeps none.",
      examples: ["256M"],
    }),
  "rlimit-nofile": integer({ min: 64, max: 1_048_576 })
    .exactOptional()
    .meta({
      description:
        "Limit of open files (RLIMIT_NOFILE) of each worker and its programs. Above the limit the server was started with only root can go.",
      examples: ["65536"],
    }),
};

/** Limits of one vhost. */
export const vhostLimits = {
  "max-body-bytes": size()
    .default(DEFAULT_BODY_BYTES)
    .meta({
      description: "Longest request body; a longer one gets 413. 0 means no limit.",
      examples: ["1G"],
    }),
  "max-connections": integer({ min: 0 }).default(0).meta({
    description:
      "Connections of one worker that ask for this vhost; requests on more get 503. 0 means no limit.",
  }),
};

/** Limits of one mount. */
export const mountLimits = {
  "max-body-bytes": size().exactOptional().meta({
    description: "As max-body-bytes of the vhost, for this mount.",
  }),
};

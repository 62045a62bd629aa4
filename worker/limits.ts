// The limits of requests and of the connections of one vhost; those of a whole worker are in admission.ts.

import type { GlobalConfig } from "../config/server.ts";
import { HttpError } from "./http/exchange.ts";

/** What a request, or the requests of one connection, may have. */
export type RequestLimits = {
  /** Request line and fields together. */
  readonly maxHeaderBytes: number;
  readonly maxHeaderFields: number;
  readonly maxTargetBytes: number;
  /** Of one connection; Infinity for none. */
  readonly maxRequests: number;
};

/** What holds where nothing is configured. */
export const defaultRequestLimits: RequestLimits = {
  maxHeaderBytes: 16 * 1024,
  maxHeaderFields: 200,
  maxTargetBytes: 8 * 1024,
  maxRequests: 10_000,
};

/** As the configuration sets them. */
export function requestLimits(global: GlobalConfig): RequestLimits {
  return {
    maxHeaderBytes: global["max-header-bytes"],
    maxHeaderFields: global["max-header-fields"],
    maxTargetBytes: global["max-uri-bytes"],
    maxRequests: global["max-requests"] || Infinity,
  };
}

const RETRY_SECS = "5";

/** The refusal of a connection too many. */
export function noSeat(): HttpError {
  const headers = [["Retry-After", RETRY_SECS]] as const;
  return new HttpError(503, "Too many connections", { headers });
}

/** Places for the connections that ask for one vhost. */
export class Seats {
  readonly #max: number;
  #taken = 0;

  /** 0 for no limit. */
  constructor(max: number) {
    this.#max = max === 0 ? Infinity : max;
  }

  /** False when there is none left. */
  take(): boolean {
    if (this.#taken >= this.#max) return false;
    this.#taken += 1;
    return true;
  }

  /** One function for all, so that a socket can have it as its listener. */
  readonly leave = (): void => {
    this.#taken -= 1;
  };
}

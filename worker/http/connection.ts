// Where a connection comes from and where it arrived, in the form that logs, rules and CGI programs see.

export type Connection = {
  /** Key of the listener that accepted it, as the router knows it. */
  readonly listener: string;
  /** IPv4 clients of a dual-stack socket are shown as plain IPv4. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly secure: boolean;
};

/** The connection as one request shows it: its client may be behind a proxy that is believed. */
export type Client = Connection & {
  /** Where the vhost gives its requests identifiers. */
  readonly requestId?: string;
};

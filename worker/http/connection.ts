// Where a connection comes from and where it arrived, in the form that logs, rules and CGI programs see.

export type Connection = {
  /** Key of the listener that accepted it, as the router knows it. */
  readonly listener: string;
  /** IPv4 clients of a dual-stack socket are shown as plain IPv4. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** To be asked for while the socket is open; it is known from then on. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly secure: boolean;
  /** Absent in clear. */
  readonly tls?: TlsSession;
};

/** What a TLS handshake settled. */
export type TlsSession = {
  /** Rules for client certificates that the handshake went by, see clientRules(). */
  readonly clientRules: string;
  /** What the client proved to own; undefined where it was asked for nothing. */
  readonly client: ClientCertificate | undefined;
};

/** A certificate that was checked against the authorities of the vhost. Names are in the form of RFC 4514. */
export type ClientCertificate = {
  /** "CN=Ada,O=Example" */
  readonly subject: string;
  readonly issuer: string;
  /** The parts of both names in the order of the certificate, values without escapes. */
  readonly subjectParts: readonly (readonly [name: string, value: string])[];
  readonly issuerParts: readonly (readonly [name: string, value: string])[];
  /** Hexadecimal, upper case. */
  readonly serial: string;
  /** SHA-256 of the certificate, hexadecimal, lower case. */
  readonly fingerprint: string;
  readonly validFrom: Date;
  readonly validTo: Date;
};

/** The connection as one request shows it: its client may be behind a proxy that is believed. */
export type Client = Connection & {
  /** Where the vhost gives its requests identifiers. */
  readonly requestId?: string;
};

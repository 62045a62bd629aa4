// Certificates for tests, made by the openssl command: self-signed, or signed by another one of them.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { needs } from "./programs.ts";
import { temporaryDirectory } from "./site.ts";

export type Pair = { readonly cert: string; readonly key: string };

export type PairOptions = {
  /** Entries of subjectAltName; an address is told from a name. */
  readonly names: readonly string[];
  /** Signs it; by default it signs itself. */
  readonly by?: Pair;
  readonly isAuthority?: boolean;
  /** By default the first name as CN, as openssl writes it: "/O=Example/CN=Ada". */
  readonly subject?: string;
  /** Days it is valid from now on; a negative number for one that has expired. */
  readonly days?: number;
};

/** Makes certificates valid for two days. Undefined once the test is skipped for want of openssl. */
export function certificateMaker(t: TestContext): ((options: PairOptions) => Pair) | undefined {
  const openssl = needs(t, "openssl", ["openssl"]);
  if (openssl === undefined) return undefined;
  const directory = temporaryDirectory(t);
  const place = (name: string, content: string): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  return ({ names, by, isAuthority = false, subject, days = 2 }) => {
    const [cert, key] = [join(directory, "cert"), join(directory, "key")];
    const entries = names.map((name) => `${/^[\d.]+$|:/.test(name) ? "IP" : "DNS"}:${name}`);
    const options = [
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days ${Math.max(days, 1)}`.split(
        " ",
      ),
      ["-utf8", "-subj", subject ?? `/CN=${names[0] ?? "test"}`, "-keyout", key, "-out", cert],
      entries.length > 0 ? ["-addext", `subjectAltName=${entries.join()}`] : [],
      ["-addext", `basicConstraints=critical,CA:${isAuthority ? "TRUE" : "FALSE"}`],
      by ? ["-CA", place("ca-cert", by.cert), "-CAkey", place("ca-key", by.key)] : [],
    ];
    execFileSync(openssl, options.flat(), { stdio: "ignore" });
    if (days < 0) {
      const expire = `x509 -days ${days} -in ${cert} -signkey ${key} -out ${cert}`;
      execFileSync(openssl, expire.split(" "), { stdio: "ignore" });
    }
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  };
}

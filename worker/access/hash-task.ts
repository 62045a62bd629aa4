// Runs in a thread: compares one password with one hash that is made to be slow. The only importer of bcryptjs.

import { timingSafeEqual } from "node:crypto";
import { compareSync } from "bcryptjs";
import type { Scheme } from "../../config/password-file.ts";
import { apr1 } from "./apr1.ts";
import { shaCrypt } from "./sha-crypt.ts";

export type SlowScheme = Extract<Scheme, "bcrypt" | "sha-crypt" | "apr1">;
export type HashJob = {
  readonly scheme: SlowScheme;
  readonly secret: string;
  readonly password: string;
};

export default function checkHash({ scheme, secret, password }: HashJob): boolean {
  if (scheme === "bcrypt") return compareSync(password, secret);
  const bytes = Buffer.from(password);
  const found = Buffer.from((scheme === "apr1" ? apr1 : shaCrypt)(bytes, secret) ?? "");
  const wanted = Buffer.from(secret);
  return found.length === wanted.length && timingSafeEqual(found, wanted);
}

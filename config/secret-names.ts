// Names under which configurations keep passwords and the like: what stands there is neither shown nor logged.

const SECRET =
  /secret|passw|passphrase|^pass$|[-_.](?:pg)?pass$|^pgpass$|pwd$|token|credential|api[-_]?key|[-_]key$|private|authorization|cookie|signature|\bsalt\b/i;

/** Places of such things, which are none themselves. */
const PLACE = /(?:file|path|dir|directory|url|uri|name)$/i;

/** True for a name whose value may be a secret. */
export function isSecretName(name: string): boolean {
  return SECRET.test(name) && !PLACE.test(name);
}

/** A text without the password of a URL in it, "postgres://user:(hidden)@host", or the token of one of NATS. */
export function hidePasswords(text: string): string {
  return text.replace(IN_URL, `$1${HIDDEN}`);
}

/** A line of a file without whatever may be a password in a URL, as long as before. */
export function maskPasswords(line: string): string {
  return line.replace(/(:\/\/)[^\s"@]*(?=@)/g, (found, before: string) =>
    before.padEnd(found.length, "*"),
  );
}

const IN_URL = /(:\/\/[^\s/?#@:]*:|\b(?:nats|tls):\/\/(?=[^\s/?#@:]*@))[^\s/?#@]*(?=@)/g;

export const HIDDEN = "(hidden)";

// Names under which configurations keep passwords and the like: what stands there is neither shown nor logged.

const SECRET =
  /secret|passw|passphrase|^pass$|[-_.](?:pg)?pass$|^pgpass$|pwd$|token|credential|api[-_]?key|[-_]key$|private|authorization|cookie|signature|\bsalt\b/i;

/** Places of such things, which are none themselves. */
const PLACE = /(?:file|path|dir|directory|url|uri|name)$/i;

/** True for a name whose value may be a secret. */
export function isSecretName(name: string): boolean {
  return SECRET.test(name) && !PLACE.test(name);
}

/** A text without the password of a URL in it: "postgres://user:(hidden)@host". */
export function hidePasswords(text: string): string {
  return text.replace(/(:\/\/[^\s/?#@:]*:)[^\s/?#@]*(?=@)/g, `$1${HIDDEN}`);
}

export const HIDDEN = "(hidden)";

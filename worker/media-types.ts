// Media types by file name. The only importer of mime.

import mime from "mime";

/** For names that nothing else is known of (RFC 9110 8.3: the client may then look at the bytes). */
const UNKNOWN = "application/octet-stream";
/** In "extra-mimetypes": what has no other type. */
const ANY = "*";

export type MediaTypes = (name: string) => string | undefined;

/** The types of a mount: its own suffixes first, longest before shorter, then the registered ones; undefined sends no Content-Type. */
export function createMediaTypes(extra: Readonly<Record<string, string>>): MediaTypes {
  const suffixes = Object.entries(extra)
    .filter(([suffix]) => suffix !== ANY)
    .map(([suffix, type]) => [suffix.toLowerCase(), type] as const)
    .toSorted(([a], [b]) => b.length - a.length);
  const fallback = extra[ANY] ?? UNKNOWN;
  return (name) => {
    const lower = name.toLowerCase();
    const own = suffixes.find(([suffix]) => lower.endsWith(suffix) && lower.length > suffix.length);
    const type = own ? own[1] : (mime.getType(lower) ?? fallback);
    return type === "" ? undefined : type;
  };
}

/** Text in one form or another. Pictures, films, archives and woff2 are compressed by themselves. */
const COMPRESSIBLE =
  /^(?:text\/|[^;]*\+(?:json|xml|text)$|application\/(?:json|json5|x-ndjson|jsonl|javascript|ecmascript|xml|xml-dtd|wasm|rtf|yaml|toml|sql|graphql|manifest|x-javascript|x-sh|x-tex|postscript|vnd\.ms-fontobject)$|font\/(?:ttf|otf|collection|sfnt)$|image\/(?:bmp|x-icon|vnd\.microsoft\.icon|x-ms-bmp)$|model\/(?:obj|stl|vrml)$|message\/)/;

/** Whether content of a type gets smaller by a content coding; `type` as in Content-Type. */
export function isCompressible(type: string | undefined): boolean {
  return type !== undefined && COMPRESSIBLE.test(type.replace(/[ \t]*;[^]*$/, "").toLowerCase());
}

// The keys of vhosts and mounts that say what clients see instead of the built-in error pages.

import { check, convert, noMembers, record, shown, text } from "./shape.ts";

const STATUS = /^[45]\d\d$/;

/** Status -> path of a page in the URL space of the vhost. */
export function errorPages() {
  return check(record(pagePath()), (pages) => {
    const odd = Object.keys(pages).find((status) => !STATUS.test(status));
    return odd === undefined ? undefined : `Expected a status from 400 to 599, got ${shown(odd)}`;
  }).default(noMembers);
}

/** A path as mountpoints are written: decoded, from the root of the vhost. */
export function pagePath() {
  return convert(text(), (path, refuse) => {
    // oxlint-disable-next-line no-control-regex -- control characters never reach a path
    const isPath = /^\/(?:[^/\\\u0000-\u001f\u007f][^\u0000-\u001f\u007f]*)?$/.test(path);
    return isPath ? path : refuse(`Expected a path that starts with one "/", got ${shown(path)}`);
  });
}

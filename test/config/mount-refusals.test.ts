// One directory for each rule that refuses a mount: every error it comes to, each with its place.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load, vhostText, type Files } from "./fixture.ts";

const mountText = (mount: string) => vhostText(`"mounts": [{"mountpoint": "/", ${mount}}]`);
const AT_MOUNT = "vhosts[0].mounts[0]";

const cases: readonly [name: string, files: Files, errors: string[]][] = [
  [
    "a mount without mountpoint and origin",
    { conf: vhostText('"mounts": [{}]') },
    [
      `conf:1 ‹{› ${AT_MOUNT}.mountpoint: Missing: a mount needs "mountpoint"`,
      `conf:1 ‹{› ${AT_MOUNT}.origin: Missing: a mount needs "origin"`,
    ],
  ],
  [
    "a mountpoint that is not rooted",
    { conf: vhostText('"mounts": [{"mountpoint": "a", "origin": "callback://p"}]') },
    [`conf:1 ‹"a"› ${AT_MOUNT}.mountpoint: Expected a path that starts with "/", got "a"`],
  ],
  [
    "pages and files that cannot be meant",
    {
      conf: mountText(
        '"origin": "callback://p", "error-pages": {"200": "/a"}, "symlinks": "all", "fallback": "../a"',
      ),
    },
    [
      `conf:1 ‹{› ${AT_MOUNT}.error-pages: Expected a status from 400 to 599, got "200"`,
      `conf:1 ‹"all"› ${AT_MOUNT}.symlinks: Expected one of "inside", "anywhere", "none", got "all"`,
      `conf:1 ‹"../a"› ${AT_MOUNT}.fallback: Expected a file name below the directory, got "../a"`,
    ],
  ],
  [
    "error pages that are no paths of this host",
    {
      conf: mountText(
        '"origin": "callback://p", "error-pages": {"404": "a", "403": "//a", "405": "https://a/", "406": "/\\\\a"}',
      ),
    },
    ["404", "403", "405", "406"].map((status, index) => {
      const path = ['"a"', '"//a"', '"https://a/"', '"/\\\\a"'][index];
      return `conf:1 ‹${path}› ${AT_MOUNT}.error-pages.${status}: Expected a path that starts with one "/", got ${path}`;
    }),
  ],
  [
    "an origin with an unknown scheme",
    { conf: mountText('"origin": "fil://x"') },
    [
      `conf:1 ‹"fil://x"› ${AT_MOUNT}.origin: Unknown scheme "fil://"; expected file://, cgi://, git://, fcgi://, >http://, >https://, callback://, metrics:// or health://; did you mean "file://"?`,
    ],
  ],
  [
    "the origin gzip://",
    { conf: mountText('"origin": "gzip://x"') },
    [
      `conf:1 ‹"gzip://x"› ${AT_MOUNT}.origin: Unknown scheme "gzip://"; expected file://, cgi://, git://, fcgi://, >http://, >https://, callback://, metrics:// or health://; did you mean "git://"?`,
    ],
  ],
  [
    "an origin without a scheme",
    { conf: mountText('"origin": "/srv/www"') },
    [
      `conf:1 ‹"/srv/www"› ${AT_MOUNT}.origin: "/srv/www" has no scheme; expected file://, cgi://, git://, fcgi://, >http://, >https://, callback://, metrics:// or health://, such as "file:///srv/www"`,
    ],
  ],
  [
    "an origin that lacks slashes",
    { conf: mountText('"origin": "file:/srv/www"') },
    [
      `conf:1 ‹"file:/srv/www"› ${AT_MOUNT}.origin: Expected "file://" at the start, got "file:/srv/www"`,
    ],
  ],
  [
    "an origin without a target",
    { conf: mountText('"origin": "file://"') },
    [`conf:1 ‹"file://"› ${AT_MOUNT}.origin: Nothing follows "file://"`],
  ],
  [
    "a proxy",
    { conf: mountText('"origin": "http://127.0.0.1:80/"') },
    [
      `conf:1 ‹"http://127.0.0.1:80/"› ${AT_MOUNT}.origin: Reverse proxy mounts are not available yet; to send the client to another address write ">http://127.0.0.1:80/"`,
    ],
  ],
  [
    "a redirect that would split a header",
    { conf: mountText('"origin": ">https://a/\\r\\nX: y"') },
    [
      `conf:1 ‹">https://a/\\r\\nX: y"› ${AT_MOUNT}.origin: A redirect goes into a header: write spaces and other characters percent-encoded`,
    ],
  ],
  [
    "a redirect to nowhere",
    { conf: mountText('"origin": ">https://:80"') },
    [`conf:1 ‹">https://:80"› ${AT_MOUNT}.origin: "https://:80" is not a URL`],
  ],
  [
    "a second origin that is no callback",
    {
      conf: mountText(
        '"origin": "callback://p", "origin": "callback://q", "origin": "callback://r"',
      ),
    },
    [
      `conf:1 ‹"origin"› ${AT_MOUNT}.origin: Given twice in one mount; first at conf:1:56, and only one more is taken, a "callback://" that sees requests first`,
    ],
  ],
  [
    "a directory as file mount that does not exist",
    { conf: mountText('"origin": "file://./www"') },
    [`conf:1 ‹"file://./www"› ${AT_MOUNT}.origin: The directory "ROOT/www" does not exist`],
  ],
  [
    "a docroot that is a file",
    { conf: mountText('"origin": "file://./www"'), www: "" },
    [`conf:1 ‹"file://./www"› ${AT_MOUNT}.origin: The directory "ROOT/www" is not a directory`],
  ],
  [
    "a CGI program that does not exist",
    { conf: mountText('"origin": "cgi://./x.cgi"') },
    [`conf:1 ‹"cgi://./x.cgi"› ${AT_MOUNT}.origin: The CGI program "ROOT/x.cgi" does not exist`],
  ],
  [
    "a CGI program that is not executable",
    { conf: mountText('"origin": "cgi://./x"'), x: "" },
    [`conf:1 ‹"cgi://./x"› ${AT_MOUNT}.origin: The CGI program "ROOT/x" is not executable`],
  ],
  [
    "a CGI interpreter that is missing",
    {
      conf: mountText('"origin": "cgi://./x", "cgi-interpreter": { ".php": "/nowhere/php" }'),
      "x/": "",
    },
    [
      `conf:1 ‹"/nowhere/php"› ${AT_MOUNT}.cgi-interpreter..php: The interpreter "/nowhere/php" does not exist`,
    ],
  ],
  [
    "a root directory for CGI programs that is missing",
    { conf: mountText('"origin": "cgi://./x", "cgi-chroot": "/nowhere"'), "x/": "" },
    [
      `conf:1 ‹"cgi://./x"› ${AT_MOUNT}.origin: The CGI program "/nowhereROOT/x" does not exist`,
      `conf:1 ‹"/nowhere"› ${AT_MOUNT}.cgi-chroot: The directory "/nowhere" does not exist`,
    ],
  ],
  [
    "a NUL in a path",
    { conf: mountText('"origin": "file:///a\\u0000b"') },
    [`conf:1 ‹"file:///a\\u0000b"› ${AT_MOUNT}.origin: An origin cannot hold a NUL character`],
  ],
  [
    "a default outside the directory",
    { conf: mountText('"origin": "file://./", "default": "../x"') },
    [`conf:1 ‹"../x"› ${AT_MOUNT}.default: Expected a file name below the directory, got "../x"`],
  ],
  [
    "a default that names no file",
    { conf: mountText('"origin": "file://./", "default": "/"') },
    [`conf:1 ‹"/"› ${AT_MOUNT}.default: Expected the name of a file below the directory`],
  ],
  [
    "media types without a suffix",
    { conf: mountText('"origin": "file://./", "extra-mimetypes": {"zip": "application/zip"}') },
    [`conf:1 ‹{› ${AT_MOUNT}.extra-mimetypes: Expected suffixes such as ".zip", or "*", got "zip"`],
  ],
  [
    "an environment variable with = in its name",
    { conf: mountText('"origin": "cgi://./x.cgi", "cgi-env": [{"A=B": "1"}]'), "x.cgi": "" },
    [
      `conf:1 ‹"1"› ${AT_MOUNT}.cgi-env[0].A=B: "A=B" cannot be the name of an environment variable`,
    ],
  ],
  [
    "an option of a mount given twice",
    { conf: mountText('"origin": "callback://p", "pmo": [{"a": 1}, {"a": 2}]') },
    [`conf:1 ‹[› ${AT_MOUNT}.pmo: The option "a" is given twice`],
  ],
  [
    "a password file that is not there",
    { conf: mountText('"origin": "file://./", "basic-auth": "passwords"') },
    [
      `conf:1 ‹"passwords"› ${AT_MOUNT}.basic-auth: The password file "ROOT/passwords" does not exist`,
    ],
  ],
];

for (const [name, files, errors] of cases)
  test(`loadConfig refuses ${name}`, async (t) => {
    const outcome = await load(t, files);
    assert.deepEqual(outcome.errors, errors);
    assert.equal(outcome.loaded, undefined);
  });

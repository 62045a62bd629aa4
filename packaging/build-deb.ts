// Makes build/portico_VERSION_ARCHITECTURE.deb: the published package, the packages that it needs at run time and the Node
// that npm brought, with what a Debian system expects around it. `npm run package:deb`. Files of packaging/debian/ are templates.

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { buildPackage } from "./build.ts";

const ROOT = join(import.meta.dirname, "..");
const STAGE = join(ROOT, "build/debian");
const HOME = join(STAGE, "usr/lib/portico");
const DOCUMENTS = join(STAGE, "usr/share/doc/portico");

const NODE_PACKAGE = `node-linux-${process.arch}`;
/** Debian's name of this architecture; elsewhere there is no Node to pack. */
const ARCHITECTURE = new Map([
  ["x64", "amd64"],
  ["arm64", "arm64"],
]).get(process.arch);

/** All that is run of an npm package; the rest is documentation, types and sources. */
const IS_RUN = /\.(?:[cm]?js|json|node)$/;
/** Builds for another libc, and what only those who change a package use. */
const NOT_RUN = /musl|^(?:docs?|tests?|examples?|bench|benchmarks?)(?:\/|$)|(?:^|\/)\.[^/]+$/;
const LICENSE_FILE = /^(?:licen[cs]e|copying)(?:[.-].*)?$/i;

type Manifest = {
  readonly version: string;
  readonly license?: string;
};

const { version } = readManifest(ROOT);

const PROGRAMS = /^usr\/bin\/|^etc\/init\.d\/|^DEBIAN\/p|\/bin\/node$|\/cgi\/[^/]+\.sh$/;

/** The revision counts packages of one version. */
const VERSION = `${version}-${process.env["DEB_REVISION"] ?? "1"}`;
const MAINTAINER = `${process.env["DEBFULLNAME"] ?? "Portico packagers"} <${process.env["DEBEMAIL"] ?? "portico@packages.invalid"}>`;
/** All files carry one date, so that the same sources make the same package. */
const DATE = new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? lastCommitSeconds()) * 1000);

function build(): void {
  const nodeProgram = join(ROOT, "node_modules", NODE_PACKAGE, "bin/node");
  if (ARCHITECTURE === undefined || !existsSync(nodeProgram))
    throw new Error(`"${NODE_PACKAGE}" is not in node_modules: run "npm ci" where it can be had`);
  rmSync(STAGE, { recursive: true, force: true });
  buildPackage(HOME);
  const dependencies = copyDependencies();
  copyNode(nodeProgram);
  placeForDebian();
  writeDocuments(dependencies);
  writeConfiguration();
  writeShellCompletion();
  writeControl(ARCHITECTURE);
  for (const path of ["", ...listStage()]) settle(path);
  const target = join(ROOT, `build/portico_${VERSION}_${ARCHITECTURE}.deb`);
  execFileSync("dpkg-deb", ["--root-owner-group", "--build", STAGE, target], {
    stdio: "inherit",
    env: { ...process.env, SOURCE_DATE_EPOCH: String(DATE.getTime() / 1000) },
  });
}

/** Copies what the lock file has for run time and npm installed here. Returns the packages' paths below node_modules. */
function copyDependencies(): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { readonly dev?: boolean }>;
  };
  const paths = Object.entries(packages)
    .filter(([path, { dev }]) => path !== "" && dev !== true)
    .map(([path]) => path)
    .filter((path) => existsSync(join(ROOT, path)) && basename(path) !== NODE_PACKAGE);
  for (const path of paths) {
    const source = join(ROOT, path);
    cpSync(source, join(HOME, path), {
      recursive: true,
      filter: (file) => {
        const inside = relative(source, file);
        // Packages further down come by themselves.
        if (inside === "node_modules" || NOT_RUN.test(inside)) return false;
        return lstatSync(file).isDirectory() || IS_RUN.test(inside);
      },
    });
  }
  return paths;
}

function copyNode(program: string): void {
  const bin = join(HOME, "node_modules", NODE_PACKAGE, "bin");
  mkdirSync(bin, { recursive: true });
  cpSync(program, join(bin, "node"));
  mkdirSync(join(HOME, "node_modules/.bin"));
  symlinkSync(`../${NODE_PACKAGE}/bin/node`, join(HOME, "node_modules/.bin/node"));
  // The name by which the program speaks of itself.
  symlinkSync("portico.mjs", join(HOME, "bin/portico"));
  // /usr/bin/portico starts it; a Node that some PATH has is not what it is to run on.
  const launcher = join(HOME, "bin/portico.mjs");
  writeFileSync(launcher, readFileSync(launcher, "utf8").replace(/^#!.*\n/, ""));
}

/** Moves what has its place elsewhere on a Debian system. */
function placeForDebian(): void {
  const read = (name: string): string => readFileSync(join(HOME, "packaging", name), "utf8");
  const moved = (text: string): string => text.replaceAll("/opt/portico/", "/usr/lib/portico/");
  write("usr/lib/systemd/system/portico.service", moved(read("portico.service")));
  write("etc/logrotate.d/portico", `${moved(read("logrotate"))}${readTemplate("logrotate")}`);
  write("usr/share/man/man8/portico.8.gz", zip(read("portico.8")));
  write("etc/init.d/portico", readTemplate("init"));
  write("usr/bin/portico", readTemplate("portico"));
  write("usr/share/lintian/overrides/portico", readTemplate("lintian-overrides"));
  mkdirSync(join(STAGE, "var/log/portico"), { recursive: true });
  mkdirSync(DOCUMENTS, { recursive: true });
  for (const name of ["docs", "README.md"]) renameSync(join(HOME, name), join(DOCUMENTS, name));
  for (const name of ["packaging", "LICENSE"])
    rmSync(join(HOME, name), { recursive: true, force: true });
}

function writeDocuments(dependencies: readonly string[]): void {
  const changes = readFileSync(join(ROOT, "CHANGELOG.md"), "utf8");
  write("usr/share/doc/portico/changelog.gz", zip(changes));
  const day = DATE.toUTCString().replace("GMT", "+0000");
  const entry = `portico (${VERSION}) unstable; urgency=medium\n\n  * Portico ${version}.\n\n -- ${MAINTAINER}  ${day}\n`;
  write("usr/share/doc/portico/changelog.Debian.gz", zip(entry));

  const licenses = ["", ...dependencies, join("node_modules", NODE_PACKAGE)].map((path) => {
    const directory = join(ROOT, path);
    const place = path === "" ? "Portico" : `/usr/lib/portico/${path}`;
    const texts = globSync("*", { cwd: directory })
      .filter((name) => LICENSE_FILE.test(name) && lstatSync(join(directory, name)).isFile())
      .map((name) => readFileSync(join(directory, name), "utf8").replaceAll("\r", "").trim());
    const manifest = readManifest(directory);
    return [
      `${"=".repeat(78)}\n${place} ${manifest.version}: ${manifest.license ?? "see below"}`,
      ...(texts.length > 0 ? texts : ["Its package has no text of the license."]),
    ].join("\n\n");
  });
  write("usr/share/doc/portico/copyright", `${licenses.join("\n\n")}\n`);
}

/** The starter of `portico init`, with the user that the package makes and pages where packages keep them. */
function writeConfiguration(): void {
  const starter = join(ROOT, "examples/starter");
  const conf = readFileSync(join(starter, "conf"), "utf8");
  write(
    "etc/portico/conf",
    replaceAll(conf, [
      ['# "username":', '"username":'],
      ['# "groupname":', '"groupname":'],
      [/ {4}# The account must exist .*\n/, "    # The package made this one; it owns nothing.\n"],
    ]),
  );
  const site = readFileSync(join(starter, "conf.d/localhost"), "utf8");
  write(
    "etc/portico/conf.d/localhost",
    replaceAll(site, [
      ['# "access-log":', '"access-log":'],
      ["file://../public", "file:///usr/share/portico/html"],
    ]),
  );
  cpSync(join(starter, "public"), join(STAGE, "usr/share/portico/html"), { recursive: true });
}

function writeShellCompletion(): void {
  const places = [
    ["bash", "usr/share/bash-completion/completions/portico"],
    ["zsh", "usr/share/zsh/vendor-completions/_portico"],
    ["fish", "usr/share/fish/vendor_completions.d/portico.fish"],
  ] as const;
  const program = join(HOME, "bin/portico");
  for (const [shell, path] of places)
    write(
      path,
      execFileSync(
        join(HOME, "node_modules/.bin/node"),
        ["--disable-sigusr1", program, "completion", shell],
        { env: { ...process.env, NODE_COMPILE_CACHE: join(ROOT, "build/compile-cache") } },
      ),
    );
}

function writeControl(architecture: string): void {
  const files = listStage().filter((path) => lstatSync(join(STAGE, path)).isFile());
  const kibibytes = files.reduce(
    (sum, path) => sum + Math.ceil(lstatSync(join(STAGE, path)).size / 1024),
    0,
  );
  write(
    "DEBIAN/control",
    readTemplate("control")
      .replace("@VERSION@", VERSION)
      .replace("@ARCHITECTURE@", architecture)
      .replace("@MAINTAINER@", MAINTAINER)
      .replace("@INSTALLED_SIZE@", String(kibibytes)),
  );
  // What the administrator changed is kept, or asked about.
  const kept = files.filter((path) => path.startsWith("etc/")).toSorted();
  write("DEBIAN/conffiles", kept.map((path) => `/${path}\n`).join(""));
  const sums = execFileSync("md5sum", files.filter((path) => !path.startsWith("etc/")).toSorted(), {
    cwd: STAGE,
  });
  write("DEBIAN/md5sums", sums);
  for (const name of ["postinst", "prerm", "postrm"]) write(`DEBIAN/${name}`, readTemplate(name));
}

/** One mode and date, whatever the umask and the checkout are like. */
function settle(path: string): void {
  const full = join(STAGE, path);
  const found = lstatSync(full);
  if (found.isSymbolicLink()) return;
  chmodSync(full, found.isDirectory() || PROGRAMS.test(path) ? 0o755 : 0o644);
  utimesSync(full, DATE, DATE);
}

/** Paths below the stage, directories too. */
function listStage(): string[] {
  return readdirSync(STAGE, { recursive: true, encoding: "utf8" });
}

function write(path: string, content: string | Buffer): void {
  const target = join(STAGE, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
}

function readTemplate(name: string): string {
  return readFileSync(join(import.meta.dirname, "debian", name), "utf8").replaceAll(
    "@NODE_ARCHITECTURE@",
    process.arch,
  );
}

/** Replaces each once; what is not there was forgotten when its text changed. */
function replaceAll(
  text: string,
  replacements: readonly (readonly [string | RegExp, string])[],
): string {
  let result = text;
  for (const [from, to] of replacements) {
    const changed = result.replace(from, to);
    if (changed === result) throw new Error(`${from} is not there`);
    result = changed;
  }
  return result;
}

/** gzip -9n */
function zip(text: string): Buffer {
  return gzipSync(text, { level: 9 });
}

function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest;
}

function lastCommitSeconds(): string {
  return execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: ROOT, encoding: "utf8" }).trim();
}

build();

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { SHELLS } from "../../bin/completion.ts";
import { listCommands, listOptions } from "../helpers/command-line.ts";
import { needs } from "../helpers/programs.ts";
import { runPortico } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/site.ts";

type Place = { readonly directory: string; readonly script: string };

/** A directory with the script and things to complete. */
async function prepare(t: TestContext, shell: string): Promise<Place> {
  const directory = temporaryDirectory(t);
  for (const name of ["sites", "site two"]) mkdirSync(join(directory, name));
  writeFileSync(join(directory, "sit"), "a file");
  const { code, stdout, stderr } = await runPortico(["completion", shell]);
  assert.equal(code, 0, stderr);
  const script = join(directory, "script");
  writeFileSync(script, stdout);
  return { directory, script };
}

/** The options of a command itself, not the one for the version, which stands before any command. */
async function longOptions(command: string): Promise<string[]> {
  const options = await listOptions(command);
  return options
    .map(({ long }) => long)
    .filter((name) => name !== "--version")
    .toSorted();
}

/** What bash offers for the last of `words`. */
function askBash(bash: string, { directory, script }: Place, ...words: string[]): string[] {
  const program = `
    source "$1"; shift
    complete -p portico >/dev/null || exit
    COMP_WORDS=(portico "$@"); COMP_CWORD=$#
    _portico
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const args = ["--norc", "-c", program, "bash", script, ...words];
  return linesOf(execFileSync(bash, args, { cwd: directory, encoding: "utf8" }));
}

/** What fish offers at the end of `line`. */
function askFish(fish: string, { directory, script }: Place, line: string): string[] {
  const args = ["--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, script, line];
  const options = { cwd: directory, encoding: "utf8", env: { ...process.env, HOME: directory } };
  return linesOf(execFileSync(fish, args, options as { encoding: "utf8" })).map(
    (offer) => offer.split("\t")[0] ?? "",
  );
}

function linesOf(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .toSorted();
}

suite("portico completion", () => {
  test("bash completes commands, options, directories and choices", async (t) => {
    const bash = needs(t, "bash", ["bash"]);
    if (bash === undefined) return;
    const place = await prepare(t, "bash");
    const ask = (...words: string[]): string[] => askBash(bash, place, ...words);
    const commands = await listCommands();
    assert.ok(commands.includes("run") && commands.includes("help"));
    assert.deepEqual(
      ask("").filter((word) => !word.startsWith("-")),
      commands.toSorted(),
    );
    assert.deepEqual(ask("re"), ["reload", "reopen", "restart"]);
    assert.deepEqual(ask("--v"), ["--version"]);
    for (const command of commands.filter((name) => name !== "help"))
      assert.deepEqual(ask(command, "--"), await longOptions(command), command);
    assert.deepEqual(ask("status", "-c", "x", "--j"), ["--json"]);
    assert.deepEqual(ask("run", "-c", "si"), ["site two", "sites"]);
    assert.deepEqual(ask("run", "--config", "=", "si"), ["site two", "sites"]);
    assert.deepEqual(ask("run", "--config", "="), ["site two", "sites"]);
    assert.deepEqual(ask("run", "--workers", ""), []);
    assert.deepEqual(ask("run", ""), []);
    assert.deepEqual(ask("init", "sites"), ["sites"]);
    assert.deepEqual(ask("completion", ""), SHELLS.toSorted());
    assert.deepEqual(ask("help", "sto"), ["stop"]);
  });

  test("fish completes commands, options, directories and choices", async (t) => {
    const fish = needs(t, "fish", ["fish"]);
    if (fish === undefined) return;
    const place = await prepare(t, "fish");
    const ask = (line: string): string[] => askFish(fish, place, line);
    assert.deepEqual(ask("portico "), (await listCommands()).toSorted());
    assert.deepEqual(ask("portico re"), ["reload", "reopen", "restart"]);
    for (const command of ["run", "status", "init"])
      assert.deepEqual(ask(`portico ${command} --`), await longOptions(command), command);
    assert.deepEqual(ask("portico run -c si"), ["site two/", "sites/"]);
    assert.deepEqual(ask("portico run --workers "), []);
    assert.deepEqual(ask("portico completion "), SHELLS.toSorted());
  });

  test("zsh takes its script", async (t) => {
    const zsh = needs(t, "zsh", ["zsh"]);
    if (zsh === undefined) return;
    const { script } = await prepare(t, "zsh");
    execFileSync(zsh, ["-f", "-n", script], { stdio: "pipe" });
    // Loaded the way that the documentation says: after compinit, which gives "compdef".
    const program = `compdef() { print -r -- "$@" }; source "$1"; functions _portico`;
    const output = execFileSync(zsh, ["-f", "-c", program, "zsh", script], { encoding: "utf8" });
    assert.match(output, /^_portico portico\n/);
    for (const command of await listCommands()) assert.match(output, new RegExp(`'${command}:`));
  });

  test("another shell is refused, with the list of those there are", async () => {
    const { code, stderr } = await runPortico(["completion", "csh"]);
    assert.equal(code, 1);
    assert.match(stderr, /bash, zsh, fish/);
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import { listCommands, listOptions } from "../helpers/command-line.ts";
import { needs } from "../helpers/programs.ts";

const ROOT = join(import.meta.dirname, "../..");
const MANUAL = join(ROOT, "docs/commands.md");
const PAGE = join(ROOT, "packaging/portico.8");

suite("docs/commands.md", () => {
  const text = readFileSync(MANUAL, "utf8");
  const sections = new Map(
    text
      .split(/^### portico /m)
      .slice(1)
      .map((section) => [section.split("\n")[0] ?? "", section]),
  );

  test("has a section for each command, with each of its options, and no other", async () => {
    const commands = await listCommands();
    assert.ok(commands.length > 8);
    assert.deepEqual([...sections.keys()].toSorted(), commands.toSorted());
    for (const command of commands.filter((name) => name !== "help")) {
      const section = sections.get(command) ?? "";
      const synopsis = /^ {4}(portico .*)$/m.exec(section)?.[1] ?? "";
      const options = await listOptions(command);
      assert.ok(options.length > 0, command);
      for (const { short, long } of options) {
        if (long === "--help" || long === "--version") continue;
        const isNamed = [short, long].some((name) => name !== "" && synopsis.includes(`[${name}`));
        assert.ok(isNamed, `${command} ${long} in "${synopsis}"`);
      }
      for (const [flag = ""] of synopsis.matchAll(/(?<!\w)--?[a-z][a-z-]*/g))
        assert.ok(
          options.some(({ short, long }) => flag === short || flag === long),
          `${command} has no ${flag}`,
        );
    }
  });

  test("points at places that exist", () => {
    for (const file of ["docs/commands.md", "docs/deployment.md", "docs/plugins.md"]) {
      const page = readFileSync(join(ROOT, file), "utf8");
      for (const [, target = ""] of page.matchAll(/\]\(([^)]+)\)/g)) {
        const heading = target.startsWith("#")
          ? target.slice(1).replaceAll("-", "[ -]")
          : undefined;
        if (heading === undefined)
          assert.ok(
            existsSync(join(ROOT, dirname(file), target.replace(/#.*/, ""))),
            `${file}: ${target}`,
          );
        else assert.match(page, new RegExp(`^#+ ${heading}$`, "im"), `${file}: ${target}`);
      }
      for (const [, path = ""] of page.matchAll(/\/opt\/portico\/((?:bin|packaging)\/[\w.]+)/g))
        assert.ok(existsSync(join(ROOT, path)), `${file}: ${path}`);
    }
  });
});

suite("portico.8", () => {
  test("names each command and each option", async (t) => {
    const man = needs(t, "man", ["man"]);
    if (man === undefined) return;
    const env = {
      PATH: process.env["PATH"],
      LC_ALL: "C",
      MANWIDTH: "100",
      MAN_KEEP_FORMATTING: "",
    };
    const page = execFileSync(man, ["-l", PAGE], { encoding: "utf8", env });
    for (const command of await listCommands()) {
      assert.match(page, new RegExp(`^ {5}${command}\\s`, "m"));
      if (command === "help") continue;
      for (const { short, long } of await listOptions(command))
        for (const name of [short, long].filter((flag) => flag !== ""))
          assert.match(page, new RegExp(`^ {5}.*(?<!\\S)${name}\\b`, "m"), `${command} ${name}`);
    }
  });

  test("is sound mdoc", (t) => {
    const mandoc = needs(t, "mandoc", ["mandoc"]);
    if (mandoc === undefined) return;
    execFileSync(mandoc, ["-T", "lint", "-W", "warning", PAGE], { stdio: "pipe" });
  });
});

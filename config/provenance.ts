// Where each value of a configuration was written. Pure: works on the texts that were read.

import { createLocator, type SourceFile } from "./document.ts";
import { repeatableKeys } from "./inert-keys.ts";
import { parseText } from "./text.ts";
import { childPath, nearest, type Node, type Scalar } from "./tree.ts";

/** A string, number or flag as it stands in a file, names in it not replaced. */
export type Written = {
  /** Below the key: "" for the value of the key itself, else such as "[0].X-Frame-Options". */
  readonly path: string;
  readonly value: Scalar;
  readonly file: string;
  readonly line: number;
  readonly column: number;
};

export type Provenance = {
  /** What the files say for a key of the object at `path`, under any of its spellings. File "" stands for all of them. */
  written(where: { file: string; path: string }, spellings: readonly string[]): readonly Written[];
};

/** Looks into the files that make up a configuration. */
export function createProvenance(sources: readonly SourceFile[]): Provenance {
  const documents = sources.flatMap(({ file, text }) => {
    const position = createLocator(text);
    const { tree } = parseText(text, position);
    return tree ? [{ file, position, tree }] : [];
  });
  return {
    written({ file, path }, spellings) {
      const found = documents.map((document) => {
        if (file !== "" && document.file !== file) return [];
        const { node, rest } = nearest(document.tree, path);
        if (node.kind !== "object" || rest !== "") return [];
        return node.members
          .filter(({ key }) => spellings.includes(key))
          .flatMap((member) => collect(member.value, ""))
          .map(({ path: below, value, offset }): Written => {
            const { line, column } = document.position(offset);
            return { path: below, value, file: document.file, line, column };
          });
      });
      // Of a key that two files give, the last one read holds.
      return spellings.some((key) => repeatableKeys.has(key))
        ? found.flat()
        : (found.findLast((one) => one.length > 0) ?? []);
    },
  };
}

type Leaf = { readonly path: string; readonly value: Scalar; readonly offset: number };

/** A null is a value that was not given. */
function collect(node: Node, path: string): Leaf[] {
  if (node.kind === "scalar")
    return node.value === null ? [] : [{ path, value: node.value, offset: node.offset }];
  if (node.kind === "array")
    return node.items.flatMap((item, index) => collect(item, childPath(path, index)));
  return node.members.flatMap(({ key, value }) => collect(value, childPath(path, key)));
}

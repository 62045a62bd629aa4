// `portico schema`: what the files may hold, for editors (JSON Schema) and for people (docs/configuration.md).

import { readFileSync } from "node:fs";
import { configurationSchema } from "../config/json-schema.ts";
import { renderManual } from "../config/manual.ts";

const TEXT = new URL("../config/manual.md", import.meta.url);

/** The JSON Schema, or the manual in Markdown. */
export function formatSchema(asMarkdown: boolean): string {
  if (asMarkdown) return renderManual(readFileSync(TEXT, "utf8"));
  return `${JSON.stringify(configurationSchema(), undefined, 2)}\n`;
}

// Text of unknown origin on a terminal and in log lines: nothing in it may steer the terminal, split a line, reorder what
// stands around it or be invisible.

/** Controls (C0, DEL, C1), format characters (bidi overrides, zero width), separators but the space, halves of pairs. */
const HAZARDS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]|(?! )\p{Zs}/gu;

/** The text with each hazard written as an escape such as \u001b. */
export function printable(text: string): string {
  return text.replace(HAZARDS, escapeOf);
}

/** JSON that means the same; JSON.stringify lets C1 controls and bidi overrides through. Line ends between values stay. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2).replace(HAZARDS, (found) =>
    found === "\n" ? found : escapeOf(found),
  );
}

/** The text at its width: each hazard is one "?", tabs are kept. */
export function printableInPlace(text: string): string {
  return text.replace(HAZARDS, (found) => (found === "\t" ? found : "?"));
}

/** Blanks as wide as the text on a terminal; tabs are kept, so that it holds whatever their width. */
export function blanksFor(text: string): string {
  return Array.from(new Intl.Segmenter().segment(printableInPlace(text)), ({ segment }) =>
    segment === "\t" ? segment : WIDE.test(segment) ? "  " : " ",
  ).join("");
}

/** East Asian wide and full-width characters, and emoji. */
const WIDE =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})/u;

function escapeOf(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    const unit = character.charCodeAt(index).toString(16).padStart(4, "0");
    return `\\u${unit}`;
  }).join("");
}

/** Cut to a length for people, with a sign that it was. */
export function clip(text: string, length: number): string {
  if (text.length <= length) return text;
  return `${text.slice(0, length).replace(/[\ud800-\udbff]$/, "")}…`;
}

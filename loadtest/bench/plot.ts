// A bar for each row, as long as our requests per CPU-second are a part of nginx's; strokes show bar and goal. Readable on light and dark.

import type { RowResult } from "./result.ts";

const WIDTH = 760;
const LABEL = 250;
const ROW = 34;
const TOP = 34;
const BOTTOM = 30;
const RIGHT = 60;
const COLOURS = { reached: "#2a9d63", held: "#3b82c4", missed: "#d1603d", line: "#8a8f98" };

/** What the plot needs of a row. */
export type PlotRow = Pick<RowResult, "name" | "perCpuSecond" | "bar" | "goal">;

/** An SVG document. */
export function plotRatios(rows: readonly PlotRow[]): string {
  const longest = Math.max(1.2, ...rows.map((row) => Math.max(ratioOf(row), row.goal ?? 0)));
  const x = (ratio: number): number =>
    Math.round((LABEL + ((WIDTH - LABEL - RIGHT) * ratio) / longest) * 10) / 10;
  const height = TOP + rows.length * ROW + BOTTOM;
  const bars = rows.map((row, index) => {
    const y = TOP + index * ROW;
    const ratio = ratioOf(row);
    return [
      `<text x="${LABEL - 10}" y="${y + 16}" text-anchor="end">${escape(row.name)}</text>`,
      `<rect x="${LABEL}" y="${y + 3}" width="${x(ratio) - LABEL}" height="18" rx="2" fill="${colourOf(row)}"/>`,
      `<text x="${x(ratio) + 6}" y="${y + 16}" class="value">${ratio.toFixed(2)}</text>`,
      ...(row.bar === undefined ? [] : [stroke(x(row.bar), y, "3,0")]),
      ...(row.goal === undefined ? [] : [stroke(x(row.goal), y, "3,3")]),
    ].join("\n");
  });
  const one = x(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Requests per CPU-second as a part of nginx's">
<style>text { font: 13px system-ui, sans-serif; fill: #6b7280 } .value { font-weight: 600 }</style>
<line x1="${one}" y1="${TOP - 8}" x2="${one}" y2="${height - BOTTOM}" stroke="${COLOURS.line}"/>
<text x="${one}" y="${TOP - 14}" text-anchor="middle">nginx = 1</text>
${bars.join("\n")}
<text x="${LABEL}" y="${height - 8}">requests per CPU-second; full stroke: bar, dashed stroke: goal</text>
</svg>
`;
}

function stroke(x: number, y: number, dashes: string): string {
  return `<line x1="${x}" y1="${y}" x2="${x}" y2="${y + 24}" stroke="#111827" stroke-width="2" stroke-dasharray="${dashes}"/>`;
}

function ratioOf(row: PlotRow): number {
  return row.perCpuSecond["nginx"] ?? 0;
}

function colourOf(row: PlotRow): string {
  const ratio = ratioOf(row);
  if (row.bar !== undefined && ratio < row.bar) return COLOURS.missed;
  return row.goal !== undefined && ratio >= row.goal ? COLOURS.reached : COLOURS.held;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

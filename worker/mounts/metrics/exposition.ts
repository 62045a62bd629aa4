// Families of metrics as text: OpenMetrics 1.0, and Prometheus' text format 0.0.4. Pure.

export type Labels = Readonly<Record<string, string>>;
export type Sample = {
  readonly labels?: Labels;
  readonly value: number;
};
export type Buckets = {
  /** Counts up to each bound, the bound included, and every count of the lower ones. */
  readonly upTo: readonly (readonly [bound: number, count: number])[];
  readonly count: number;
  readonly sum: number;
};

/** `name` is without "_total", which counters get; it ends in `_unit` where there is a unit. */
export type Family = {
  readonly name: string;
  readonly help: string;
  readonly unit?: "seconds" | "bytes" | "ratio";
} & (
  | { readonly type: "counter" | "gauge"; readonly samples: readonly Sample[] }
  | { readonly type: "histogram"; readonly buckets: Buckets }
);

/** OpenMetrics; a reader knows by its last line that it has it all. */
export function writeOpenMetrics(families: readonly Family[]): string {
  const lines = families.flatMap((family) => [
    `# TYPE ${family.name} ${family.type}`,
    ...(family.unit ? [`# UNIT ${family.name} ${family.unit}`] : []),
    `# HELP ${family.name} ${escapeText(family.help, true)}`,
    ...writeSamples(family),
  ]);
  return `${[...lines, "# EOF"].join("\n")}\n`;
}

/** The older format, in which the name of a counter is that of its samples. */
export function writePrometheusText(families: readonly Family[]): string {
  const lines = families.flatMap((family) => {
    const name = sampleName(family);
    return [
      `# HELP ${name} ${escapeText(family.help, false)}`,
      `# TYPE ${name} ${family.type}`,
      ...writeSamples(family),
    ];
  });
  return `${lines.join("\n")}\n`;
}

function sampleName({ name, type }: Family): string {
  return type === "counter" ? `${name}_total` : name;
}

function writeSamples(family: Family): string[] {
  const { name } = family;
  if (family.type === "histogram") {
    const { upTo, count, sum } = family.buckets;
    return [
      ...upTo.map(([bound, below]) => writeSample(`${name}_bucket`, { le: `${bound}` }, below)),
      writeSample(`${name}_bucket`, { le: "+Inf" }, count),
      writeSample(`${name}_sum`, {}, sum),
      writeSample(`${name}_count`, {}, count),
    ];
  }
  const full = sampleName(family);
  return family.samples.map(({ labels = {}, value }) => writeSample(full, labels, value));
}

function writeSample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeText(text, true)}"`);
  const set = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
  return `${name}${set} ${value}`;
}

/** Both formats: backslash and line feed; where quotes stand around it, or OpenMetrics is written, the quote too. */
function escapeText(text: string, withQuotes: boolean): string {
  const escaped = text.toWellFormed().replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return withQuotes ? escaped.replaceAll('"', '\\"') : escaped;
}

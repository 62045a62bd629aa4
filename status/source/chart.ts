// One chart over time: draws rows of the history, follows pointer and keys. The only importer of uPlot.

import uPlot from "uplot";
import { clockMinute, clockTime } from "./format.ts";
import type { Row, Series, SeriesName } from "./history.ts";

const HEIGHT_PX = 190;
const AXIS_WIDTH_PX = 66;
const X_AXIS_HEIGHT_PX = 32;
/** Between the lowest line and the times below it, so that its own label has room. */
const X_LABEL_GAP_PX = 9;
/** Room for one "13:45:02" and some air. */
const X_LABEL_SPACE_PX = 86;
const Y_LABEL_SPACE_PX = 26;
/** Seconds of a window in which a minute is too coarse to name a moment. */
const LONGEST_WITH_SECONDS = 1_800;
const HEADROOM = 1.1;
/** All charts with one key show the same moment. */
const SYNC_KEY = "status";

export type ChartSpec = {
  readonly id: string;
  readonly title: string;
  /** stack: each series lies on those before it. */
  readonly kind: "stack" | "lines";
  readonly series: readonly { readonly name: SeriesName; readonly label: string }[];
  /** As in the legend. */
  readonly format: (value: number | null | undefined) => string;
  readonly axis: Axis;
};

export type Axis = { readonly format: (value: number) => string } & (
  | {
      readonly scale: "linear";
      /** Distances that grid lines may have. */
      readonly steps: readonly number[];
      /** The axis goes from 0 to at least this, so that an idle server does not look busy. */
      readonly least: number;
    }
  /** Powers of ten, at least these. */
  | { readonly scale: "logarithmic"; readonly from: number; readonly to: number }
);

export type Chart = {
  readonly spec: ChartSpec;
  /** Ref of the element the chart lives in; null takes it down. */
  readonly attach: (element: HTMLElement | null) => void;
  /** Shows the last `windowSecs`; `index` is the row the cursor stands on. */
  draw(series: Series, windowSecs: number): void;
  /** Draws the same again in the colours that hold now. */
  recolour(): void;
  /** Puts the cursor on a row, on all charts; undefined takes it away. */
  point(index: number | undefined): void;
};

/** A chart; `onCursor` hears which row the pointer is on. */
export function createChart(spec: ChartSpec, onCursor: (index: number | undefined) => void): Chart {
  let plot: uPlot | undefined;
  let observer: ResizeObserver | undefined;
  let range: readonly [number, number] = [0, 1];
  const nameTime = (at: number): string =>
    range[1] - range[0] > LONGEST_WITH_SECONDS ? clockMinute(at) : clockTime(at);
  let data: uPlot.AlignedData = [[]];

  function attach(element: HTMLElement | null): void {
    observer?.disconnect();
    plot?.destroy();
    plot = undefined;
    if (!element) return;
    const options = describe(spec, element, () => range, nameTime, onCursor);
    plot = new uPlot(options, data, element);
    observer = new ResizeObserver(() => plot?.setSize(sizeOf(element)));
    observer.observe(element);
  }

  return {
    spec,
    attach,
    draw({ times, rows }, windowSecs) {
      const end = times.at(-1);
      if (end === undefined) return;
      range = [end - windowSecs, end];
      data = [[...times], ...columns(spec, rows)];
      // At once: who points at a row next needs the new scales.
      plot?.batch(() => plot?.setData(data));
    },
    recolour: () => plot?.redraw(),
    point(index) {
      const at = index === undefined ? undefined : plot?.data[0][index];
      const left = at === undefined ? -1 : (plot?.valToPos(at, "x") ?? -1);
      plot?.setCursor({ left, top: left < 0 ? -1 : 0 });
    },
  };
}

/** One column for each series; in a stack each holds the sum up to it. */
function columns(spec: ChartSpec, rows: readonly Row[]): (number | null)[][] {
  const plain = spec.series.map(({ name }) => rows.map((row) => row[name]));
  if (spec.kind === "lines") return plain;
  const sums = rows.map(() => 0);
  return plain.map((column) =>
    column.map((value, index) =>
      value === null ? null : (sums[index] = (sums[index] ?? 0) + value),
    ),
  );
}

function describe(
  spec: ChartSpec,
  element: HTMLElement,
  range: () => readonly [number, number],
  nameTime: (at: number) => string,
  onCursor: (index: number | undefined) => void,
): uPlot.Options {
  const colour = (name: string): string => getComputedStyle(element).getPropertyValue(name);
  const grid = { stroke: () => colour("--grid"), width: 1 };
  const font = `12px ${getComputedStyle(element).fontFamily}`;
  const axis: uPlot.Axis = { font, stroke: () => colour("--axis"), grid, ticks: { show: false } };
  const isStack = spec.kind === "stack";
  return {
    ...sizeOf(element),
    legend: { show: false },
    padding: [10, X_LABEL_SPACE_PX / 3, 0, 0],
    cursor: {
      y: false,
      drag: { setScale: false, x: false, y: false },
      points: { show: !isStack, size: 7 },
      sync: { key: SYNC_KEY },
    },
    hooks: { setCursor: [(self) => onCursor(self.cursor.idx ?? undefined)] },
    scales: {
      x: { range: () => [...range()] },
      y: yScale(spec),
    },
    axes: [
      {
        ...axis,
        size: X_AXIS_HEIGHT_PX,
        gap: X_LABEL_GAP_PX,
        space: X_LABEL_SPACE_PX,
        values: (self, splits) => (self.data[0].length === 0 ? [] : splits.map(nameTime)),
      },
      {
        ...axis,
        size: AXIS_WIDTH_PX,
        space: Y_LABEL_SPACE_PX,
        ...(spec.axis.scale === "linear"
          ? { incrs: [...spec.axis.steps] }
          : { splits: (_self, _axis, min, max) => powersOfTen(min, max) }),
        values: (_self, splits) => splits.map(spec.axis.format),
      },
    ],
    series: [
      {},
      ...spec.series.map(({ name }): uPlot.Series => {
        const paint = (): string => colour(`--${name}`);
        return isStack
          ? { width: 0, fill: paint, points: { show: false } }
          : { width: 1.75, stroke: paint, points: { size: 5, fill: paint, filter: lonely } };
      }),
    ],
    ...(isStack
      ? {
          bands: spec.series.slice(1).map((_series, index) => ({ series: [index + 2, index + 1] })),
        }
      : {}),
  };
}

/** Where points are too dense to be shown, those that no line leads to still are. */
function lonely(self: uPlot, series: number, areShown: boolean): number[] | null {
  const column = self.data[series];
  if (areShown || !column) return null;
  // Beyond either end there is nothing: undefined.
  const isGap = (index: number): boolean => (column[index] ?? null) === null;
  return [...column.keys()].filter((at) => !isGap(at) && isGap(at - 1) && isGap(at + 1));
}

function yScale({ axis }: ChartSpec): uPlot.Scale {
  if (axis.scale === "linear")
    return { range: (_self, _min, max) => [0, Math.max(axis.least, (max ?? 0) * HEADROOM)] };
  return {
    // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- logarithmic; uPlot's enum has no value at run time
    distr: 3,
    range: (_self, min, max) => {
      const low = Math.max(1, Math.min(min ?? axis.from, axis.from));
      const high = Math.max(max ?? axis.to, axis.to);
      return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))];
    },
  };
}

function powersOfTen(min: number, max: number): number[] {
  const first = Math.round(Math.log10(min));
  const count = Math.round(Math.log10(max)) - first + 1;
  return Array.from({ length: count }, (_, index) => 10 ** (first + index));
}

function sizeOf(element: HTMLElement): { width: number; height: number } {
  return { width: element.clientWidth, height: HEIGHT_PX };
}

// The charts with their legends, the choice of how far back, and the moment under the cursor.

import type { Chart, ChartSpec } from "./chart.ts";
import { clockTime } from "./format.ts";
import type { Series } from "./history.ts";
import { WINDOWS, type View } from "./view.ts";

export function ChartPanel({ view }: { readonly view: View }) {
  const { history, cursor, window, actions } = view;
  const series = history[window.rows];
  const at = series.times[cursor ?? -1];
  return (
    <section class="bare" id="charts" aria-labelledby="charts-title">
      <div class="bar">
        <h2 id="charts-title">Over time</h2>
        <p class="faint" id="moment">
          {at === undefined ? "" : `at ${clockTime(at)}`}
        </p>
        <fieldset class="choice">
          <legend class="visually-hidden">How far back the charts go</legend>
          {WINDOWS.map((choice) => (
            <label key={choice.secs}>
              <input
                type="radio"
                name="window"
                checked={choice === window}
                onChange={() => actions.showWindow(choice)}
              />
              <span>{choice.name}</span>
            </label>
          ))}
        </fieldset>
      </div>
      <div class="charts">
        {view.charts.map((chart) => (
          <Panel key={chart.spec.id} chart={chart} series={series} view={view} />
        ))}
      </div>
    </section>
  );
}

function Panel(props: { readonly chart: Chart; readonly series: Series; readonly view: View }) {
  const { chart, series, view } = props;
  const { rows } = series;
  const { spec } = chart;
  const index = view.cursor ?? rows.length - 1;
  const hasLine = spec.series.some(({ name }) => rows.some((row) => row[name] !== null));
  return (
    <figure class="card chart" id={spec.id}>
      <figcaption>
        <h3>{spec.title}</h3>
        <ul class="legend">
          {spec.series.map(({ name, label }) => (
            <li key={name} class={name}>
              {label} <b>{spec.format(rows[index]?.[name])}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div
        class="plot"
        ref={chart.attach}
        tabIndex={0}
        role="slider"
        aria-label={`${spec.title}, by time`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, rows.length - 1)}
        aria-valuenow={Math.max(0, index)}
        aria-valuetext={describeMoment(spec, series, index)}
        onKeyDown={(event) => {
          if (view.actions.pressKey(event.key)) event.preventDefault();
        }}
        onBlur={view.actions.leave}
      />
      {!hasLine && <p class="empty">{rows.length < 2 ? "Waiting for numbers" : "Nothing yet"}</p>}
    </figure>
  );
}

function describeMoment({ series, format }: ChartSpec, shown: Series, index: number): string {
  const at = shown.times[index];
  const row = shown.rows[index];
  if (at === undefined || !row) return "nothing yet";
  const values = series.map(({ name, label }) => `${label} ${format(row[name])}`);
  return `${clockTime(at)}: ${values.join(", ")}`;
}

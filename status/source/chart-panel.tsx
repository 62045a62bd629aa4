// The charts with their legends, the choice of how far back, and the moment under the cursor.

import type { Chart, ChartSpec } from "./chart.ts";
import { clockTime } from "./format.ts";
import type { History } from "./history.ts";
import { WINDOWS_SECS, type View } from "./view.ts";

export function ChartPanel({ view }: { readonly view: View }) {
  const { history, cursor, windowSecs, actions } = view;
  const at = history.times[cursor ?? -1];
  return (
    <section class="bare" aria-labelledby="charts-title">
      <div class="bar">
        <h2 id="charts-title">Last minutes</h2>
        <p class="faint" id="moment">
          {at === undefined ? "" : `at ${clockTime(at)}`}
        </p>
        <fieldset class="choice">
          <legend class="visually-hidden">How far back the charts go</legend>
          {WINDOWS_SECS.map((secs) => (
            <label key={secs}>
              <input
                type="radio"
                name="window"
                checked={secs === windowSecs}
                onChange={() => actions.showWindow(secs)}
              />
              <span>{secs / 60} min</span>
            </label>
          ))}
        </fieldset>
      </div>
      <div class="charts">
        {view.charts.map((chart) => (
          <Panel key={chart.spec.id} chart={chart} view={view} />
        ))}
      </div>
    </section>
  );
}

function Panel({ chart, view }: { readonly chart: Chart; readonly view: View }) {
  const { history, cursor } = view;
  const { spec } = chart;
  const index = cursor ?? history.rows.length - 1;
  const hasLine = spec.series.some(({ name }) => history.rows.some((row) => row[name] !== null));
  return (
    <figure class="card chart" id={spec.id}>
      <figcaption>
        <h3>{spec.title}</h3>
        <ul class="legend">
          {spec.series.map(({ name, label }) => (
            <li key={name} class={name}>
              {label} <b>{spec.format(history.rows[index]?.[name])}</b>
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
        aria-valuemax={Math.max(0, history.rows.length - 1)}
        aria-valuenow={Math.max(0, index)}
        aria-valuetext={describeMoment(spec, history, index)}
        onKeyDown={(event) => {
          if (view.actions.pressKey(event.key)) event.preventDefault();
        }}
        onBlur={view.actions.leave}
      />
      {!hasLine && (
        <p class="empty">{history.rows.length < 2 ? "Waiting for numbers" : "Nothing yet"}</p>
      )}
    </figure>
  );
}

function describeMoment({ series, format }: ChartSpec, history: History, index: number): string {
  const at = history.times[index];
  const row = history.rows[index];
  if (at === undefined || !row) return "nothing yet";
  const values = series.map(({ name, label }) => `${label} ${format(row[name])}`);
  return `${clockTime(at)}: ${values.join(", ")}`;
}

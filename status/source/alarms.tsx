// What somebody should see to, on top of everything: a reload that failed, certificates that run out, workers that died.

import type { Board, Reload } from "./board.ts";
import { dateTime, duration, whole } from "./format.ts";
import { certificateState, nameAndPort } from "./host-tables.tsx";
import { Problems } from "./reload.tsx";

/** A death is news for so long. */
const NEWS_MS = 10 * 60_000;
/** Certificates that are named. */
const SHOWN_CERTIFICATES = 3;

export function Alarms({ board }: { readonly board: Board }) {
  return (
    <>
      <ReloadAlarm reload={board.lastReload} />
      <DeathAlarm board={board} />
      <CertificateAlarm board={board} />
    </>
  );
}

function ReloadAlarm({ reload }: { readonly reload: Reload | undefined }) {
  if (reload?.outcome !== "failed") return null;
  return (
    <div class="alarm" role="alert" id="reload-alarm">
      <p>
        <strong>The reload of {dateTime(reload.at)} failed.</strong> Generation {reload.generation}{" "}
        serves on with the configuration it has.
      </p>
      <Problems reload={reload} />
    </div>
  );
}

function DeathAlarm({ board: { deaths, now } }: { readonly board: Board }) {
  const news = deaths.filter(({ at }) => now - at < NEWS_MS);
  const [last] = news;
  if (!last) return null;
  return (
    <div class="alarm" role="alert" id="death-alarm">
      <p>
        <strong>
          {news.length === 1 ? "A worker" : `${whole(news.length)} workers`} died within the last
          ten minutes.
        </strong>{" "}
        The last was worker {last.worker}, {duration(Math.max(1_000, now - last.at) / 1000)} ago
        {last.why === "" ? "" : `: ${last.why}`}.
      </p>
    </div>
  );
}

function CertificateAlarm({ board: { vhosts } }: { readonly board: Board }) {
  const due = vhosts.flatMap((vhost) =>
    vhost.certificate && certificateState(vhost.certificate) !== "ok"
      ? [{ name: nameAndPort(vhost), daysLeft: vhost.certificate.daysLeft }]
      : [],
  );
  if (due.length === 0) return null;
  const shown = due
    .toSorted((one, other) => one.daysLeft - other.daysLeft)
    .slice(0, SHOWN_CERTIFICATES)
    .map(({ name, daysLeft }) => `${name} ${inDays(daysLeft)}`);
  const more = due.length - shown.length;
  return (
    <div class="alarm" role="alert" id="certificate-alarm">
      <p>
        <strong>Certificates run out:</strong> {shown.join(", ")}
        {more > 0 ? ` and ${whole(more)} more` : ""}.
      </p>
    </div>
  );
}

function inDays(days: number): string {
  if (days < 0) return "has expired";
  if (days === 0) return "within a day";
  return `in ${days} ${days === 1 ? "day" : "days"}`;
}

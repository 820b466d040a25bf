// What is going on now.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { get } from "../api/client";
import type { Call, Page, Report } from "../api/types";
import { country } from "../lib/countries";
import { brief, count, figure, latency, LEVELS, percent, time, words } from "../lib/format";
import { useLive, useLoad } from "../lib/hooks";
import { go, link } from "../lib/router";
import { Foreign, LevelMark, Panel, Score, Segments, Show, Tags } from "../parts/basics";
import { Bars, Gauge, LevelSplit, Spark, TimeChart } from "../parts/charts";
import { WorldMap } from "../parts/WorldMap";

const WINDOWS = [
  ["15m", "15 min"],
  ["1h", "1 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
] as const;
type Window = (typeof WINDOWS)[number][0];
const BUCKET: Record<Window, string> = { "15m": "1m", "1h": "1m", "24h": "15m", "7d": "2h" };
/** Minutes in a bucket. */
const MINUTES: Record<Window, number> = { "15m": 1, "1h": 1, "24h": 15, "7d": 120 };
const REFRESH_MS = 10_000;
const LATEST = 7;
/** The key of calls that have none. */
const NONE = "none";

const report =
  (by: string, since: string, more: Record<string, string> = {}) =>
  (signal: AbortSignal) =>
    get<Report>(`reports/${by}`, { since, limit: "200", ...more }, signal);

export function Overview({ query }: { query: Record<string, string> }): JSX.Element {
  const since = WINDOWS.find(([key]) => key === query.since)?.[0] ?? "1h";
  const [measure, setMeasure] = useState<"calls" | "high">("high");
  const over = useLoad(report("time", since, { bucket: BUCKET[since] }), ["time", since], REFRESH_MS);
  const levels = useLoad(report("level", since), ["level", since], REFRESH_MS);
  const tags = useLoad(report("tag", since), ["tag", since], REFRESH_MS);
  const reasons = useLoad(report("reason", since), ["reason", since], REFRESH_MS);
  const lands = useLoad(report("caller_country", since), ["country", since], REFRESH_MS);
  const trunks = useLoad(report("trunk", since), ["trunk", since], REFRESH_MS);
  const by = Object.fromEntries((levels.data?.rows ?? []).map((row) => [row.key, row.calls]));
  const noCalls = (data: Report): boolean => data.rows.length === 0;
  const none = { empty: noCalls, emptyTitle: "No calls", emptyText: `None was recorded in the last ${since}.` };
  return (
    <div class="stack">
      <div class="row between">
        <span class="dim">Charts show the last {WINDOWS.find(([key]) => key === since)?.[1]}, tiles this moment.</span>
        <Segments
          label="Time span"
          value={since}
          options={WINDOWS}
          onChange={(next) => go(link(["overview"], { since: next }), true)}
        />
      </div>
      <Tiles over={over.data} minutes={MINUTES[since]} />
      <div class="grid">
        <Panel title="Calls a minute" class="s8">
          <Show of={over} {...none}>
            {(data) => <Rate report={data} minutes={MINUTES[since]} />}
          </Show>
        </Panel>
        <Panel title="Share by level" class="s4">
          <Show of={levels} {...none}>
            {() => (
              <div class="stack">
                <LevelSplit counts={by} />
                <table>
                  <tbody>
                    {[...LEVELS].reverse().map((level) => (
                      <tr key={level}>
                        <td>
                          <a href={link(["calls"], { level, since })}>
                            <LevelMark level={level} />
                          </a>
                        </td>
                        <td class="num">{count(by[level] ?? 0)}</td>
                        <td class="num dim">
                          {percent(
                            by[level] ?? 0,
                            Object.values(by).reduce((a, b) => a + b, 0),
                            2,
                          )}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </Show>
        </Panel>
        <Panel
          title="Countries of origin"
          class="s8"
          tools={
            <Segments
              label="Shown on the map"
              value={measure}
              options={[
                ["high", "high risk"],
                ["calls", "all calls"],
              ]}
              onChange={setMeasure}
            />
          }
        >
          <Show of={lands} {...none} lines={9}>
            {(data) => <Countries report={data} measure={measure} since={since} />}
          </Show>
        </Panel>
        <LatestHigh />
        <Panel title="Top reasons" class="s5">
          <Show of={reasons} {...none} lines={8}>
            {(data) => (
              <Bars
                wide
                rows={data.rows
                  .slice(0, 10)
                  .map((row) => ({ ...row, name: words(row.key), title: row.text ?? row.key }))}
                figures={highOf}
              />
            )}
          </Show>
        </Panel>
        <Panel title="Tags" class="s3">
          <Show of={tags} {...none} lines={8}>
            {(data) => (
              <Bars
                rows={data.rows.slice(0, 10).map((row) => ({
                  ...row,
                  name: row.key,
                  href: link(["calls"], { tag: row.key, since }),
                }))}
                figures={highOf}
              />
            )}
          </Show>
        </Panel>
        <Panel title="Trunks" class="s4">
          <Show of={trunks} {...none} lines={8}>
            {(data) => (
              <Bars
                rows={data.rows.slice(0, 10).map((row) => ({
                  ...row,
                  name: row.key === NONE ? "no known trunk" : <Foreign text={row.key} />,
                  ...(row.key !== NONE && { href: link(["calls"], { trunk: row.key, since }) }),
                }))}
                figures={highOf}
              />
            )}
          </Show>
        </Panel>
      </div>
      <p class="dim legend">
        <span>
          <i class="swatch" style={{ background: "var(--high)" }} />
          of high risk (high and critical)
        </span>
        <span>
          <i class="swatch" style={{ background: "var(--low)" }} />
          other calls
        </span>
      </p>
    </div>
  );
}

const highOf = (row: { calls: number; high?: number }): JSX.Element => (
  <>
    {brief(row.calls)} <span class={row.high ? "l-high" : "dim"}>{brief(row.high ?? 0)}</span>
  </>
);

/** The last second; where nothing is live, the average of the report. */
function Tiles({ over, minutes }: { over: Report | null; minutes: number }): JSX.Element {
  const { rates, state } = useLive();
  const buckets = over?.rows ?? [];
  const average = (pick: (row: Report["rows"][number]) => number): string | undefined =>
    state === "stored" && buckets.length
      ? figure(buckets.reduce((sum, row) => sum + pick(row), 0) / buckets.length / minutes)
      : undefined;
  const last = rates.at(-1);
  // A second without a call has no latency.
  const quick = rates.findLast((each) => each.latency_us.p50 !== null)?.latency_us;
  const recent = rates.slice(-300);
  const dropped = last && rates[0] ? last.drops - rates[0].drops : 0;
  const waiting = {
    live: "waiting for the first second",
    connecting: "connecting",
    down: "no live data",
    stored: "average of recorded calls",
  }[state];
  return (
    <div class="grid tiles">
      <Tile
        what="Calls a minute"
        value={last ? count(Math.round(last.calls_per_min)) : average((row) => row.calls)}
        more={last ? `${count(last.active)} in progress` : waiting}
      >
        <Spark values={last ? recent.map((each) => each.calls_per_min) : buckets.map((row) => row.calls)} />
      </Tile>
      <Tile
        what="High risk a minute"
        value={last ? count(Math.round(last.high_per_min)) : average((row) => row.high)}
        more={last ? `${percent(last.high_per_min, last.calls_per_min)} of calls` : waiting}
      >
        <Spark
          values={last ? recent.map((each) => each.high_per_min) : buckets.map((row) => row.high)}
          token="--high"
        />
      </Tile>
      <Tile
        what="Verdict latency"
        value={quick && latency(1000 * (quick.p50 ?? 0)).split(" ")[0]}
        unit={quick ? `${latency(1000 * (quick.p50 ?? 0)).split(" ")[1]} median` : ""}
        more={
          quick
            ? `99 % within ${latency(1000 * (quick.p99 ?? 0))}`
            : last
              ? "no call yet"
              : state === "stored"
                ? "nothing is scored here"
                : waiting
        }
      >
        <Spark values={recent.flatMap((each) => each.latency_us.p99 ?? [])} token="--dim" />
      </Tile>
      <section class="panel tile s3 drops">
        <span class="what">Drops</span>
        <Gauge
          value={Math.log10(1 + (last?.drops ?? 0))}
          most={6}
          text={last ? brief(last.drops) : "–"}
          token={last?.drops ? "--critical" : "--ok"}
        />
        <span class="more">
          {last
            ? last.drops
              ? `${count(dropped)} since this page was opened`
              : "nothing was dropped"
            : state === "stored"
              ? "nothing is scored here"
              : waiting}
        </span>
      </section>
    </div>
  );
}

function Tile(props: {
  what: string;
  value: string | undefined;
  unit?: string;
  more: string;
  children: JSX.Element;
}): JSX.Element {
  return (
    <section class="panel tile s3" aria-label={props.what}>
      <span class="what">{props.what}</span>
      <span class="value">
        {props.value ?? "–"}
        {props.unit && <small>{props.unit}</small>}
      </span>
      <span class="more">{props.more}</span>
      {props.children}
    </section>
  );
}

/** The report up to now, and the seconds that streamed in since. */
function Rate({ report: { rows, since, until }, minutes }: { report: Report; minutes: number }): JSX.Element {
  const { rates } = useLive();
  const streaming = minutes === 1;
  const data = useMemo(() => {
    const start = new Date(since).getTime() / 1000;
    const end = Math.min(Date.now(), new Date(until).getTime()) / 1000;
    // The first and the last bucket are not full.
    const at = (row: { ts?: string; key: string }): number => new Date(row.ts ?? row.key).getTime() / 1000;
    const past = rows.filter((row) => at(row) >= start && at(row) + minutes * 60 <= end);
    const times = past.map(at);
    const calls = past.map((row) => row.calls / minutes);
    const high = past.map((row) => row.high / minutes);
    const from = (times.at(-1) ?? 0) + 60;
    for (const rate of streaming ? rates : []) {
      const now = new Date(rate.ts).getTime() / 1000;
      if (now <= from) continue;
      times.push(now);
      calls.push(rate.calls_per_min);
      high.push(rate.high_per_min);
    }
    return { times, calls, high };
  }, [rows, until, minutes, rates.length, rates.at(-1)?.ts]);
  return (
    <TimeChart
      times={data.times}
      height={15}
      lines={[
        { label: "calls", colour: "--low", values: data.calls, fill: true },
        { label: "high risk", colour: "--high", values: data.high, fill: true },
      ]}
    />
  );
}

function Countries({
  report: { rows },
  measure,
  since,
}: {
  report: Report;
  measure: "calls" | "high";
  since: string;
}): JSX.Element {
  const pick = (code: string): void => go(link(["calls"], { country: code, since }));
  const sorted = [...rows].sort((a, b) => b[measure] - a[measure] || b.calls - a.calls);
  return (
    <div class="split-map">
      <WorldMap
        token={measure === "high" ? "--high" : "--accent"}
        lands={rows.map((row) => ({
          code: row.key,
          value: row[measure],
          text: `${count(row.calls)} calls, ${count(row.high)} of high risk`,
        }))}
        onPick={pick}
      />
      <Bars
        rows={sorted.slice(0, 11).map((row) => {
          const known = /^[A-Z]{2}$/.test(row.key);
          return {
            ...row,
            name: country(known ? row.key : null),
            ...(known && { href: link(["calls"], { country: row.key, since }) }),
          };
        })}
        figures={highOf}
      />
    </div>
  );
}

/** What streamed in, before what was recorded. */
function LatestHigh(): JSX.Element {
  const { calls } = useLive();
  const stored = useLoad<Page<Call>>((signal) => get("calls", { level: "high", limit: LATEST }, signal), []);
  const streamed = calls.filter((call) => LEVELS.indexOf(call.level) >= 2).slice(0, LATEST);
  const known = new Set(streamed.map((call) => call.call));
  return (
    <Panel title="Latest of high risk" class="s4" tools={<a href={link(["calls"], { level: "high" })}>all</a>} flush>
      <Show
        of={stored}
        empty={(data) => !data.items.length && !streamed.length}
        emptyTitle="No calls of high risk"
        emptyText="None is recorded."
      >
        {(data) => (
          <table class="latest">
            <tbody>
              {[...streamed, ...data.items.filter((call) => !known.has(call.call))]
                .sort((a, b) => b.ts.localeCompare(a.ts))
                .slice(0, LATEST)
                .map((call) => (
                  <tr key={call.call}>
                    <td>
                      <Score score={call.score} level={call.level} />
                    </td>
                    <td>
                      <div class="clip">
                        <a href={link(["calls", call.call])}>
                          <Foreign text={call.caller} />
                        </a>
                      </div>
                      <div class="dim clip">{call.reasons[0]?.text}</div>
                    </td>
                    <td class="num dim">
                      {time(call.ts)}
                      <div>
                        <Tags tags={call.tags.slice(0, 1)} plain />
                      </div>
                    </td>
                  </tr>
                ))}
            </tbody>
          </table>
        )}
      </Show>
    </Panel>
  );
}

// Weeks at a glance: countries, tags, fraud families, and how the models do.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { Calibration, Found, Model, Models, Report, TrendRow } from "../api/types";
import { country } from "../lib/countries";
import { count, figure, percent, words } from "../lib/format";
import { useLoad } from "../lib/hooks";
import { go, link } from "../lib/router";
import { Dialog, Empty, Facts, Panel, Segments, Show } from "../parts/basics";
import { TimeChart } from "../parts/charts";

const SPANS = [
  ["14d", "2 weeks"],
  ["56d", "8 weeks"],
  ["84d", "12 weeks"],
] as const;
/** Tags that name a way of fraud. */
const FAMILIES = [
  "spoofed",
  "repeat_withheld",
  "robocall",
  "wangiri",
  "irsf",
  "neighbour",
  "tdos",
  "scanner",
  "unallocated",
  "bad_signature",
];
/** Told apart also by those who see few hues: they differ in lightness, and in dash from the fifth on. */
const STYLES = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => ({
  colour: `--s${n}`,
  ...(n > 4 && { dash: n % 2 ? [6, 4] : [2, 3] }),
}));

export function Trends({ query }: { query: Record<string, string> }): JSX.Element {
  const since = SPANS.find(([key]) => key === query.since)?.[0] ?? "56d";
  const unit = query.unit === "week" ? "week" : "day";
  const trends = useLoad<{ rows: TrendRow[] }>(
    (signal) => get("reports/trends", { unit, since }, signal),
    [unit, since],
  );
  const hours = useLoad<Report>((signal) => get("reports/hour_of_week", { since, limit: 168 }, signal), [since]);
  const models = useLoad<Models>((signal) => get("models", {}, signal), []);
  const calibration = useLoad<Calibration>((signal) => get("models/calibration", { since }, signal), [since]);
  const set = (change: Record<string, string>): void => go(link(["trends"], { since, unit, ...change }), true);
  const none = {
    empty: (data: { rows: TrendRow[] }) => data.rows.length === 0,
    emptyTitle: "No calls yet",
    emptyText: "Trends need a day of records at least.",
    lines: 7,
  };
  return (
    <div class="stack">
      <div class="row between">
        <Segments label="Time span" value={since} options={SPANS} onChange={(next) => set({ since: next })} />
        <Segments
          label="Unit"
          value={unit}
          options={[
            ["day", "by day"],
            ["week", "by week"],
          ]}
          onChange={(next) => set({ unit: next })}
        />
      </div>
      <div class="grid">
        <Panel title="Calls, and those of high risk" class="s6">
          <Show of={trends} {...none}>
            {({ rows }) => (
              <TimeChart
                times={times(rows)}
                lines={[
                  {
                    label: "calls",
                    colour: "--low",
                    values: rows.map((row) => row.calls),
                    fill: true,
                  },
                  {
                    label: "high risk",
                    colour: "--high",
                    values: rows.map((row) => row.high),
                    fill: true,
                  },
                ]}
              />
            )}
          </Show>
        </Panel>
        <Panel title="Share of high risk, and labels" class="s6">
          <Show of={trends} {...none}>
            {({ rows }) => (
              <TimeChart
                times={times(rows)}
                lines={[
                  {
                    label: "high risk, per 10,000 calls",
                    colour: "--high",
                    values: rows.map((row) => (row.calls ? (10_000 * row.high) / row.calls : null)),
                  },
                  {
                    label: "labelled fraud",
                    colour: "--critical",
                    values: rows.map((row) => row.labels?.fraud ?? 0),
                    dash: [6, 4],
                  },
                  {
                    label: "labelled genuine",
                    colour: "--ok",
                    values: rows.map((row) => row.labels?.genuine ?? 0),
                    dash: [2, 3],
                  },
                ]}
              />
            )}
          </Show>
        </Panel>
        <Panel title="Ways of fraud" class="s6">
          <Show of={trends} {...none}>
            {({ rows }) => <Several rows={rows} of={(row) => row.tags} only={FAMILIES} name={words} />}
          </Show>
        </Panel>
        <Panel title="Countries of origin, but the largest" class="s6">
          <Show of={trends} {...none}>
            {({ rows }) => <Several rows={rows} of={(row) => row.countries} skip={1} name={country} />}
          </Show>
        </Panel>
        <Panel title="Hours of the week (UTC): share of high risk">
          <Show of={hours} empty={(data) => data.rows.length === 0} emptyTitle="No calls yet">
            {(data) => <Hours rows={data.rows} />}
          </Show>
        </Panel>
        <Panel title="Champion against challenger" class="s4">
          <Show of={models}>{(data) => <Trial models={data} />}</Show>
        </Panel>
        <Panel title="Calibration" class="s4">
          <Show
            of={calibration}
            empty={(data) => data.rows.every((row) => row.calls === 0)}
            emptyTitle="No labels to compare with"
            emptyText="Label calls as fraud and genuine; then this shows whether 80 means 80 %."
          >
            {(data) => <Reliability rows={data.rows} />}
          </Show>
        </Panel>
        <Panel title="Drift (PSI)" class="s4">
          <Show
            of={models}
            empty={(data) => data.drift.length === 0}
            emptyTitle="No drift measured"
            emptyText="The model has no reference, or too few calls came."
          >
            {(data) => <Drift drift={data.drift} />}
          </Show>
        </Panel>
      </div>
    </div>
  );
}

const times = (rows: TrendRow[]): number[] => rows.map((row) => new Date(row.ts).getTime() / 1000);

/** The largest few over time. */
function Several(props: {
  rows: TrendRow[];
  of: (row: TrendRow) => Record<string, number>;
  only?: string[];
  skip?: number;
  name: (key: string) => string;
}): JSX.Element {
  const sums = new Map<string, number>();
  for (const row of props.rows)
    for (const [key, n] of Object.entries(props.of(row) ?? {})) sums.set(key, (sums.get(key) ?? 0) + n);
  const largest = [...sums]
    .filter(([key]) => !props.only || props.only.includes(key))
    .sort((a, b) => b[1] - a[1])
    .slice(props.skip ?? 0, (props.skip ?? 0) + STYLES.length);
  if (!largest.length) return <Empty title="None">Nothing of the kind was seen.</Empty>;
  const lines = largest.map(([key], i) => ({
    label: props.name(key),
    values: props.rows.map((row) => props.of(row)?.[key] ?? 0),
    ...STYLES[i % STYLES.length]!,
  }));
  return <TimeChart times={times(props.rows)} lines={lines} />;
}

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** A cell an hour, from Monday at midnight. */
function Hours({ rows }: { rows: Report["rows"] }): JSX.Element {
  const by = new Map(rows.map((row) => [Number(row.key), row]));
  const most = Math.max(0.001, ...rows.map((row) => row.high / row.calls));
  return (
    <div class="chart">
      <svg viewBox="0 0 1000 160" role="img" aria-label="Share of high risk by hour of the week">
        {DAYS.map((day, d) => (
          <g key={day}>
            <text class="dim" x="34" y={d * 20 + 14} text-anchor="end">
              {day}
            </text>
            {Array.from({ length: 24 }, (_, h) => {
              const row = by.get(d * 24 + h);
              const share = row?.calls ? row.high / row.calls : 0;
              return (
                <rect
                  key={h}
                  x={42 + h * 39.8}
                  y={d * 20 + 1}
                  width="38.5"
                  height="18"
                  rx="2"
                  fill={
                    row
                      ? `color-mix(in srgb, var(--high) ${Math.round((100 * share) / most)}%, var(--raised))`
                      : "var(--raised)"
                  }
                >
                  <title>{`${day} ${h}:00 to ${h + 1}:00: ${row ? `${count(row.high)} of ${count(row.calls)} calls (${percent(row.high, row.calls)})` : "no calls"}`}</title>
                </rect>
              );
            })}
          </g>
        ))}
        {[0, 3, 6, 9, 12, 15, 18, 21].map((h) => (
          <text key={h} class="dim" x={42 + h * 39.8} y="156">
            {h}:00
          </text>
        ))}
      </svg>
    </div>
  );
}

function Trial({ models: { champion, challenger, trial, metrics } }: { models: Models }): JSX.Element {
  const [card, setCard] = useState<Model | null>(null);
  const named = (model: Model): JSX.Element => (
    <>
      {model.name} <span class="mono dim">{model.id.slice(0, 8)}</span>{" "}
      {model.card && (
        <button type="button" class="link" onClick={() => setCard(model)}>
          card
        </button>
      )}
    </>
  );
  return (
    <div class="stack">
      <Facts
        of={[
          ["Champion", champion ? named(champion) : "none is loaded here"],
          ["Challenger", challenger ? named(challenger) : "none on trial"],
          ...(trial
            ? ([
                ["Agree on high", `${percent(trial.agree, trial.calls)} of ${count(trial.calls)} calls`],
                [
                  "High by one alone",
                  `champion ${count(trial.champion_only)}, challenger ${count(trial.challenger_only)}`,
                ],
                ["Mean difference", `${figure(100 * trial.mean_difference)} points`],
              ] as const)
            : []),
        ]}
      />
      {trial?.labelled && <Labelled of={trial.labelled} />}
      {Object.keys(metrics ?? {}).length > 0 && (
        <>
          <h3>On labelled calls of 90 days</h3>
          <Facts of={Object.entries(metrics).map(([key, value]) => [words(key), figure(value)])} />
        </>
      )}
      {card && (
        <Dialog title={`Card of ${card.name}`} close={() => setCard(null)} wide>
          <pre class="card" tabIndex={0}>
            {card.card}
          </pre>
          <div class="row end">
            <button type="button" class="primary" onClick={() => setCard(null)}>
              Close
            </button>
          </div>
        </Dialog>
      )}
    </div>
  );
}

function Labelled({ of: { champion, challenger } }: { of: { champion: Found; challenger: Found } }): JSX.Element {
  const row = (name: string, { fraud_high, fraud_low, genuine_high, genuine_low }: Found): JSX.Element => (
    <tr>
      <td>{name}</td>
      <td class="num">
        {count(fraud_high)} of {count(fraud_high + fraud_low)}
      </td>
      <td class="num">
        {count(genuine_high)} of {count(genuine_high + genuine_low)}
      </td>
    </tr>
  );
  return (
    <table>
      <thead>
        <tr>
          <th>Labelled calls</th>
          <th class="num">Fraud found</th>
          <th class="num">Genuine raised</th>
        </tr>
      </thead>
      <tbody>
        {row("champion", champion)}
        {row("challenger", challenger)}
      </tbody>
    </table>
  );
}

/** What was predicted against what labels say; on the diagonal they agree. */
function Reliability({ rows }: { rows: Calibration["rows"] }): JSX.Element {
  const at = (share: number): number => 30 + 210 * share;
  const up = (share: number): number => 215 - 205 * share;
  const dots = rows.filter((row): row is (typeof rows)[number] & { observed: number } => row.observed !== null);
  return (
    <div class="chart square">
      <svg
        viewBox="0 0 260 240"
        role="img"
        aria-label={dots
          .map((row) => `predicted ${percent(row.predicted, 1, 0)}, observed ${percent(row.observed, 1, 0)}`)
          .join("; ")}
      >
        {[0, 0.5, 1].map((share) => (
          <g key={share}>
            <path class="axis" d={`M30 ${up(share)}H240`} />
            <text class="dim" x="25" y={up(share) + 4} text-anchor="end">
              {share * 100}
            </text>
            <text class="dim" x={at(share)} y="232" text-anchor="middle">
              {share * 100} %
            </text>
          </g>
        ))}
        <path d={`M${at(0)} ${up(0)}L${at(1)} ${up(1)}`} stroke="var(--dim)" stroke-dasharray="4 4" fill="none" />
        <polyline
          points={dots.map((row) => `${at(row.predicted)},${up(row.observed)}`).join(" ")}
          fill="none"
          stroke="var(--accent)"
          stroke-width="1.5"
        />
        {dots.map((row) => (
          <circle
            key={row.low}
            cx={at(row.predicted)}
            cy={up(row.observed)}
            r={Math.min(8, 2.5 + Math.log10(1 + row.calls))}
            fill="var(--accent)"
            stroke="var(--panel)"
          >
            <title>{`predicted ${percent(row.predicted, 1)}, observed ${percent(row.observed, 1)}, ${count(row.calls)} labelled calls`}</title>
          </circle>
        ))}
      </svg>
      <p class="dim">Across: predicted; up: labelled fraud.</p>
    </div>
  );
}

/** Below 0.1 nothing moved, above 0.25 the model should be trained anew. */
function Drift({ drift }: { drift: Models["drift"] }): JSX.Element {
  const rows = [...drift].sort((a, b) => b.psi - a.psi).slice(0, 12);
  const most = Math.max(0.3, ...rows.map((row) => row.psi));
  return (
    <>
      <div class="bars wide">
        {rows.map((row) => {
          const token = row.psi >= 0.25 ? "--critical" : row.psi >= 0.1 ? "--medium" : "--low";
          return [
            <span class="name" key={`n${row.feature}`} title={row.feature}>
              {words(row.feature)}
            </span>,
            <span class="track" key={`t${row.feature}`} aria-hidden="true">
              <span style={{ width: `${(100 * row.psi) / most}%`, background: `var(${token})` }} />
            </span>,
            <span class="figures" key={`f${row.feature}`}>
              {row.psi.toFixed(3)}
            </span>,
          ];
        })}
      </div>
      <p class="dim note">Below 0.1 stable, from 0.25 the traffic is not what the model knows.</p>
    </>
  );
}

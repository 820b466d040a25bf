// Charts: lines over time on a canvas (uPlot), the others as SVG and boxes.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { brief, count, LEVELS, percent } from "../lib/format";
import { useSize } from "../lib/hooks";
import { colour, useTheme } from "../lib/theme";

export interface Line {
  label: string;
  /** A token of the style sheet. */
  colour: string;
  values: (number | null)[];
  fill?: boolean;
  dash?: number[];
}

/** Lines over time. `times` in seconds since 1970, rising. */
export function TimeChart({
  times,
  lines,
  height = 12,
  unit = "",
}: {
  times: number[];
  lines: Line[];
  height?: number;
  unit?: string;
}): JSX.Element {
  const theme = useTheme();
  const [ref, width] = useSize<HTMLDivElement>();
  const plot = useRef<uPlot | null>(null);
  // A line needs two points; fewer are shown as dots.
  const dots = times.length < 3;
  const shape = lines.map((line) => line.label + line.colour).join() + dots;
  const data = [times, ...lines.map((line) => line.values)] as uPlot.AlignedData;
  useEffect(() => {
    const element = ref.current;
    if (!element || width === 0) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const font = `${0.85 * rem}px "Inter Variable", system-ui, sans-serif`;
    const axis = {
      stroke: colour("--dim"),
      font,
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    const made = new uPlot(
      {
        width,
        height: height * rem,
        padding: [0.6 * rem, 1.5 * rem, 0, 0],
        // Where nobody points, the last value is told.
        hooks: { setLegend: [(plot) => plot.legend.idx == null && tellLast(plot)] },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: {
          x: { range: (_, min, max) => (max > min ? [min, max] : [min - 43_200, max + 43_200]) },
          y: { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] },
        },
        axes: [
          { ...axis, space: 6 * rem, values: stamps, size: 2.1 * rem },
          {
            ...axis,
            size: 3.6 * rem,
            space: 2.4 * rem,
            values: (_, splits) => splits.map((v) => brief(v) + unit),
          },
        ],
        series: [
          {
            value: (_, v) =>
              v == null
                ? "–"
                : new Date(v * 1000).toLocaleString("en-GB", {
                    day: "2-digit",
                    month: "short",
                    hour: "2-digit",
                    minute: "2-digit",
                  }),
          },
          ...lines.map((line) => ({
            label: line.label,
            stroke: colour(line.colour),
            width: 1.8,
            ...(line.fill && { fill: faint(colour(line.colour)) }),
            ...(line.dash && { dash: line.dash }),
            points: { show: dots, size: 0.6 * rem },
            value: (_: uPlot, v: number | null) => (v == null ? "–" : `${count(v)}${unit}`),
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    tellLast(made);
    return () => {
      plot.current = null;
      made.destroy();
    };
  }, [width, height, theme, shape, unit]);
  useEffect(() => {
    plot.current?.setData(data);
    if (plot.current?.cursor.idx == null) tellLast(plot.current);
  }, [data]);
  return (
    <div class="chart" ref={ref} role="img" aria-label={`${lines.map((line) => line.label).join(", ")} over time`} />
  );
}

function tellLast(plot: uPlot | null): void {
  if (plot?.data[0].length) plot.setLegend({ idx: plot.data[0].length - 1 }, false);
}

const faint = (rgb: string): string => rgb.replace(/^rgb\((.*)\)$/, "rgba($1, 0.16)");

/** 14:05 within a day, 24 Nov beyond. */
function stamps(_: uPlot, splits: number[], __: number, ___: number, step: number): string[] {
  return splits.map((s) => {
    const at = new Date(s * 1000);
    const midnight = at.getHours() === 0 && at.getMinutes() === 0;
    if (step >= 86_400 || midnight) return at.toLocaleDateString("en-GB", { day: "2-digit", month: "short" });
    return at.toLocaleTimeString("en-GB", {
      hour: "2-digit",
      minute: "2-digit",
      ...(step < 60 && { second: "2-digit" }),
    });
  });
}

/** A line without axes. */
export function Spark({ values, token = "--accent" }: { values: number[]; token?: string }): JSX.Element {
  if (values.length < 2) return <svg class="spark" aria-hidden="true" />;
  const most = Math.max(...values, 1);
  const points = values
    .map((v, i) => `${((100 * i) / (values.length - 1)).toFixed(2)},${(28 - (26 * v) / most).toFixed(2)}`)
    .join(" ");
  return (
    <svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      <polygon points={`0,30 ${points} 100,30`} fill={`var(${token})`} opacity="0.13" />
      <polyline
        points={points}
        fill="none"
        stroke={`var(${token})`}
        stroke-width="1.5"
        vector-effect="non-scaling-stroke"
      />
    </svg>
  );
}

export interface Bar {
  key: string;
  name: ComponentChildren;
  title?: string;
  href?: string;
  calls: number;
  high?: number;
}

/** Bars of calls; the part of high risk in its colour. */
export function Bars({
  rows,
  wide = false,
  figures,
}: {
  rows: Bar[];
  wide?: boolean;
  figures?: (row: Bar) => ComponentChildren;
}): JSX.Element {
  const most = Math.max(1, ...rows.map((row) => row.calls));
  return (
    <div class={wide ? "bars wide" : "bars"}>
      {rows.map((row) => {
        const high = Math.min(row.high ?? 0, row.calls);
        return [
          <span class="name" key={`n${row.key}`} title={row.title ?? row.key}>
            {row.href ? <a href={row.href}>{row.name}</a> : row.name}
          </span>,
          <span class="track" key={`t${row.key}`} aria-hidden="true">
            <span style={{ width: `${(100 * high) / most}%`, background: "var(--high)" }} />
            <span style={{ width: `${(100 * (row.calls - high)) / most}%`, background: "var(--low)" }} />
          </span>,
          <span class="figures" key={`f${row.key}`}>
            {figures ? figures(row) : brief(row.calls)}
          </span>,
        ];
      })}
    </div>
  );
}

/** Shares of a whole, by level. */
export function LevelSplit({ counts }: { counts: Partial<Record<string, number>> }): JSX.Element {
  const all = LEVELS.reduce((sum, level) => sum + (counts[level] ?? 0), 0);
  return (
    <div class="stack">
      <div class="split" role="img" aria-label={LEVELS.map((l) => `${l} ${percent(counts[l] ?? 0, all)}`).join(", ")}>
        {LEVELS.map((level) => {
          const n = counts[level] ?? 0;
          return (
            n > 0 && (
              <span
                key={level}
                title={`${level}: ${count(n)}`}
                style={{ flex: `${n} 0 3px`, background: `var(--${level})` }}
              />
            )
          );
        })}
      </div>
    </div>
  );
}

/** Contributions to the score: right of the middle towards fraud, left of it against. */
export function Reasons({
  reasons,
}: {
  reasons: { feature: string; text: string; contribution: number }[];
}): JSX.Element {
  const most = Math.max(0.001, ...reasons.map((r) => Math.abs(r.contribution)));
  return (
    <div class="bars wide reasons">
      {reasons.map((reason) => {
        const width = `${(50 * Math.abs(reason.contribution)) / most}%`;
        const up = reason.contribution >= 0;
        return [
          <span class="name" key={`n${reason.feature}`} title={`${reason.text} (${reason.feature})`}>
            {reason.text}
          </span>,
          <span class="track" key={`t${reason.feature}`} aria-hidden="true">
            <span
              style={{
                width,
                marginLeft: up ? "50%" : `calc(50% - ${width})`,
                background: up ? "var(--high)" : "var(--low)",
              }}
            />
          </span>,
          <span class="figures" key={`f${reason.feature}`}>
            {up ? "+" : "−"}
            {Math.abs(reason.contribution).toFixed(2)}
          </span>,
        ];
      })}
    </div>
  );
}

/** A half circle filled as far as `value` of `most`. */
export function Gauge({
  value,
  most,
  text,
  token,
}: {
  value: number;
  most: number;
  text: string;
  token: string;
}): JSX.Element {
  const share = Math.min(1, Math.max(0, most > 0 ? value / most : 0));
  const length = Math.PI * 40;
  return (
    <svg viewBox="0 0 100 58" role="img" aria-label={text} class="gauge">
      <path d="M10 50a40 40 0 0 1 80 0" fill="none" stroke="var(--raised)" stroke-width="9" stroke-linecap="round" />
      {share > 0 && (
        <path
          d="M10 50a40 40 0 0 1 80 0"
          fill="none"
          stroke={`var(${token})`}
          stroke-width="9"
          stroke-linecap="round"
          stroke-dasharray={`${share * length} ${length}`}
        />
      )}
      <text x="50" y="48" text-anchor="middle" class="gauge-text">
        {text}
      </text>
    </svg>
  );
}

// Calls as dots: when, and how risky.

import type { JSX } from "preact";
import type { Sheet } from "../api/types";
import { day, LEVELS, time } from "../lib/format";
import { go, link } from "../lib/router";
import { printable } from "./basics";

const WIDTH = 1000;
const HEIGHT = 170;
const [LEFT, TOP, BOTTOM] = [34, 8, 22];

/** Where the server does not say the level of a score. */
export const levelOf = (score: number) => LEVELS[score >= 90 ? 3 : score >= 70 ? 2 : score >= 40 ? 1 : 0] ?? "low";

export function Timeline({ calls }: { calls: Sheet["timeline"] }): JSX.Element {
  const times = calls.map((call) => Date.parse(call.ts));
  const first = Math.min(...times);
  const span = Math.max(60_000, Math.max(...times) - first);
  const x = (at: number): number => LEFT + 10 + ((WIDTH - LEFT - 20) * (at - first)) / span;
  const y = (score: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - score / 100);
  return (
    <div class="chart">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${calls.length} calls over time by score; the table below has them`}
      >
        {[0, 25, 50, 75, 100].map((score) => (
          <g key={score}>
            <path d={`M${LEFT} ${y(score)}H${WIDTH}`} class="axis" />
            <text x={LEFT - 6} y={y(score) + 4} text-anchor="end" class="dim">
              {score}
            </text>
          </g>
        ))}
        {[0, 0.25, 0.5, 0.75, 1].map((share) => {
          const ts = new Date(first + span * share).toISOString();
          return (
            <text
              key={share}
              x={x(first + span * share)}
              y={HEIGHT - 4}
              text-anchor={share === 0 ? "start" : share === 1 ? "end" : "middle"}
              class="dim"
            >
              {span > 4 * 86_400_000 ? day(ts) : time(ts)}
            </text>
          );
        })}
        {calls.map((call, i) => (
          <circle
            key={i}
            cx={x(Date.parse(call.ts))}
            cy={y(call.score)}
            r="4.5"
            fill={`var(--${call.level ?? levelOf(call.score)})`}
            stroke="var(--panel)"
            class="on"
            onClick={() => go(link(["calls", call.call ?? call.call_id ?? ""]))}
          >
            <title>{`${time(call.ts, true)}, ${printable(call.caller ?? "no number")} to ${printable(call.callee ?? "?")}: ${call.score}`}</title>
          </circle>
        ))}
      </svg>
    </div>
  );
}

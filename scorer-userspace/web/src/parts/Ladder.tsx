// Messages of a dialog between two sides, from the top down.

import type { JSX } from "preact";
import type { Step } from "../api/types";
import { clockMs } from "../lib/format";
import { printable } from "./basics";

const STEP = 30;
const LEFT = 150;
const RIGHT = 470;

export function Ladder({
  steps,
  source,
  destination,
}: {
  steps: Step[];
  source: string;
  destination: string;
}): JSX.Element {
  const height = 46 + steps.length * STEP;
  const first = steps[0] ? Date.parse(steps[0].ts) : 0;
  return (
    <div class="chart ladder">
      <svg
        viewBox={`0 0 560 ${height}`}
        role="img"
        aria-label={steps.map((step) => `${step.what} from the ${step.from}`).join(", ")}
      >
        <defs>
          <marker
            id="head"
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            orient="auto-start-reverse"
          >
            <path d="M0 0.8L7 4L0 7.2z" fill="context-stroke" />
          </marker>
        </defs>
        <text x={LEFT} y="14" text-anchor="middle">
          {printable(source)}
        </text>
        <text x={RIGHT} y="14" text-anchor="middle">
          {printable(destination)}
        </text>
        <path d={`M${LEFT} 24V${height}M${RIGHT} 24V${height}`} class="axis" stroke-width="1.5" />
        {steps.map((step, i) => {
          const y = 52 + i * STEP;
          const [from, to] = step.from === "callee" ? [RIGHT, LEFT] : [LEFT, RIGHT];
          const stroke = tone(step.what);
          return (
            <g key={i}>
              <text x={LEFT - 14} y={y + 4} text-anchor="end" class="dim">
                {i === 0 ? clockMs(step.ts).slice(-12) : `+${((Date.parse(step.ts) - first) / 1000).toFixed(3)} s`}
              </text>
              <path
                d={`M${from} ${y}L${to} ${y}`}
                stroke={stroke}
                stroke-width="1.6"
                marker-end="url(#head)"
                marker-start={step.from === "either" ? "url(#head)" : undefined}
              />
              <text x={(LEFT + RIGHT) / 2} y={y - 5} text-anchor="middle">
                {printable(named(step.what))}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

const PHRASES: Record<string, string> = {
  "100": "Trying",
  "180": "Ringing",
  "181": "Call Is Being Forwarded",
  "183": "Session Progress",
  "200": "OK",
  "302": "Moved Temporarily",
  "401": "Unauthorized",
  "403": "Forbidden",
  "404": "Not Found",
  "407": "Proxy Authentication Required",
  "480": "Temporarily Unavailable",
  "486": "Busy Here",
  "487": "Request Terminated",
  "503": "Service Unavailable",
  "603": "Decline",
  "607": "Unwanted",
  "608": "Rejected",
};
const named = (what: string): string => (PHRASES[what] ? `${what} ${PHRASES[what]}` : what);

function tone(what: string): string {
  if (/^[456]/.test(what) || what === "CANCEL") return "var(--high)";
  if (/^2/.test(what)) return "var(--ok)";
  return "var(--dim)";
}

// A profile, its numbers, fingerprints and callees, and the profiles linked with it.

import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationNodeDatum,
} from "d3-force";
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { GraphEdge, GraphNode } from "../api/types";
import { go, link } from "../lib/router";
import { printable } from "./basics";

const WIDTH = 720;
const HEIGHT = 420;
const TICKS = 220;
/** More would be a ball of wool; the heaviest stay. */
const MOST = 70;

type Placed = GraphNode & SimulationNodeDatum;

const STYLE: Record<string, { token: string; name: string; shape: (r: number) => string }> = {
  profile: { token: "--critical", name: "profile", shape: (r) => `M0 ${-r}L${r} 0L0 ${r}L${-r} 0z` },
  number: { token: "--accent", name: "number", shape: circle },
  fingerprint: { token: "--medium", name: "fingerprint", shape: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z` },
  callee: { token: "--ok", name: "callee", shape: (r) => `M0 ${-r}L${r} ${r * 0.8}H${-r}z` },
  place: { token: "--dim", name: "place", shape: (r) => `M${-r} ${r}V${-r * 0.2}L0 ${-r}L${r} ${-r * 0.2}V${r}z` },
};
const styleOf = (kind: string) =>
  STYLE[kind === "account" ? "callee" : kind === "source" ? "place" : kind] ?? {
    token: "--dim",
    name: kind,
    shape: circle,
  };

function circle(r: number): string {
  return `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
}

export function Graph({ nodes, edges, me }: { nodes: GraphNode[]; edges: GraphEdge[]; me: string }): JSX.Element {
  const [over, setOver] = useState<string | null>(null);
  const { placed, lines } = useMemo(() => layout(nodes, edges, me), [nodes, edges, me]);
  const near = new Set(
    lines.flatMap(({ edge }) => (edge.from === over || edge.to === over ? [edge.from, edge.to] : [])),
  );
  const kinds = [...new Set(placed.map((node) => styleOf(node.kind).name))];
  return (
    <div class="chart graph">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${nodes.length} nodes; numbers, fingerprints and callees are listed beside`}
      >
        {lines.map(({ edge, from, to }, i) => (
          <line
            key={i}
            x1={from.x}
            y1={from.y}
            x2={to.x}
            y2={to.y}
            stroke={edge.kind === "link" ? "var(--critical)" : "var(--dim)"}
            stroke-width={edge.kind === "link" ? 2 : Math.min(4, 0.7 + Math.log2(1 + edge.weight) * 0.5)}
            stroke-dasharray={edge.kind === "link" ? "5 4" : undefined}
            opacity={over && edge.from !== over && edge.to !== over ? 0.12 : 0.5}
          />
        ))}
        {placed.map((node) => {
          const style = styleOf(node.kind);
          const r = radius(node);
          const dim = over !== null && over !== node.id && !near.has(node.id);
          const target = node.kind === "profile" ? ["investigate", node.label] : null;
          return (
            <g
              key={node.id}
              transform={`translate(${(node.x ?? 0).toFixed(1)} ${(node.y ?? 0).toFixed(1)})`}
              opacity={dim ? 0.25 : 1}
              onMouseEnter={() => setOver(node.id)}
              onMouseLeave={() => setOver(null)}
              onClick={() => target && node.id !== me && go(link(target))}
              class={target && node.id !== me ? "on" : ""}
            >
              <title>{`${style.name} ${printable(node.label)}, ${node.weight} calls`}</title>
              <path d={style.shape(r)} fill={`var(${style.token})`} stroke="var(--panel)" stroke-width="1.5" />
              <text y={r + 12} text-anchor="middle" class={node.kind === "profile" ? "" : "dim"}>
                {printable(
                  node.kind === "fingerprint" || node.kind === "profile" ? node.label.slice(0, 8) : node.label,
                ).slice(0, 20)}
              </text>
            </g>
          );
        })}
      </svg>
      <div class="legend dim">
        {kinds.map((kind) => (
          <span key={kind}>
            <svg viewBox="-6 -6 12 12" class="key" aria-hidden="true">
              <path d={styleOf(kind).shape(5)} fill={`var(${styleOf(kind).token})`} />
            </svg>
            {kind}
          </span>
        ))}
        {placed.length < nodes.length && <span>{nodes.length - placed.length} lighter ones are left out</span>}
      </div>
    </div>
  );
}

const radius = (node: GraphNode): number =>
  node.kind === "profile" ? 12 : Math.min(11, 4.5 + Math.log2(1 + (node.weight || 1)));

/** The same nodes get the same places: d3-force draws no random numbers but its own, seeded ones. */
function layout(nodes: GraphNode[], edges: GraphEdge[], me: string) {
  const heavy = [...nodes]
    .sort((a, b) => Number(b.kind === "profile") - Number(a.kind === "profile") || b.weight - a.weight)
    .slice(0, MOST);
  const placed: Placed[] = heavy.map((node) => ({
    ...node,
    ...(node.id === me && { fx: WIDTH / 2, fy: HEIGHT / 2 }),
  }));
  const by = new Map(placed.map((node) => [node.id, node]));
  const lines = edges.flatMap((edge) => {
    const [from, to] = [by.get(edge.from), by.get(edge.to)];
    return from && to ? [{ edge, from, to }] : [];
  });
  forceSimulation(placed)
    .force(
      "link",
      forceLink(lines.map(({ from, to }) => ({ source: from, target: to })))
        .distance(130)
        .strength(0.4),
    )
    .force("charge", forceManyBody().strength(-520))
    .force(
      "collide",
      forceCollide<Placed>((node) => radius(node) + 22),
    )
    .force("x", forceX(WIDTH / 2).strength(0.03))
    .force("y", forceY(HEIGHT / 2).strength(0.12))
    .stop()
    .tick(TICKS);
  for (const node of placed) {
    node.x = Math.max(50, Math.min(WIDTH - 50, node.x ?? 0));
    node.y = Math.max(14, Math.min(HEIGHT - 24, node.y ?? 0));
  }
  return { placed, lines };
}

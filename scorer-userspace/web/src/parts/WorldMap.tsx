// Countries shaded by how many calls come from them.

import { geoNaturalEarth1, geoPath } from "d3-geo";
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import { byNumber, country } from "../lib/countries";

interface Shape {
  code: string | null;
  path: string;
}

const WIDTH = 1040;
const HEIGHT = 500;
/** Of that, without the empty edges. */
const VIEW = "70 14 950 472";
let shapes: Promise<Shape[]> | null = null;

/** The outlines, fetched once, as paths. */
function outlines(): Promise<Shape[]> {
  shapes ??= import("world-atlas/countries-110m.json").then(({ default: atlas }) => {
    const world = atlas as unknown as Topology<{ countries: GeometryCollection }>;
    const all = feature(world, world.objects.countries).features.filter((shape) => shape.id !== "010");
    const draw = geoPath(
      geoNaturalEarth1().fitSize([WIDTH, HEIGHT], { type: "FeatureCollection", features: all }),
      null,
    ).digits(1);
    return all.map((shape) => ({ code: byNumber.get(String(shape.id)) ?? null, path: draw(shape) ?? "" }));
  });
  return shapes;
}

export interface Land {
  code: string;
  value: number;
  text: string;
}

export function WorldMap({
  lands,
  token,
  onPick,
}: {
  lands: Land[];
  token: string;
  onPick: (code: string) => void;
}): JSX.Element {
  const [all, setAll] = useState<Shape[]>([]);
  const [tip, setTip] = useState<{ x: number; y: number; text: string } | null>(null);
  useEffect(() => void outlines().then(setAll), []);
  const by = useMemo(() => new Map(lands.map((land) => [land.code, land])), [lands]);
  // Calls differ by orders of magnitude, so that shades go by the logarithm.
  const most = Math.log1p(Math.max(1, ...lands.map((land) => land.value)));
  return (
    <figure class="chart map" onMouseLeave={() => setTip(null)}>
      <svg viewBox={VIEW} role="img" aria-label="Calls by country; the list beside it has the same figures">
        {all.map((shape, i) => {
          const land = shape.code ? by.get(shape.code) : undefined;
          const shade = land && land.value > 0 ? 18 + (82 * Math.log1p(land.value)) / most : 0;
          return (
            <path
              key={i}
              d={shape.path}
              class={land ? "on" : ""}
              data-country={shape.code}
              fill={
                shade ? `color-mix(in srgb, var(${token}) ${shade.toFixed(0)}%, var(--map-none))` : "var(--map-none)"
              }
              onClick={() => land && onPick(land.code)}
              onMouseMove={(event) => {
                const box = event.currentTarget.closest("figure")?.getBoundingClientRect();
                if (box)
                  setTip({
                    x: event.clientX - box.left,
                    y: event.clientY - box.top,
                    text: `${country(shape.code)}: ${land?.text ?? "no calls"}`,
                  });
              }}
            />
          );
        })}
      </svg>
      {tip && (
        <div class="tip" style={{ left: `${Math.max(0, tip.x - 60)}px`, top: `${tip.y + 16}px` }}>
          {tip.text}
        </div>
      )}
    </figure>
  );
}

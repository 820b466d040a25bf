// Features of a call, each against what is usual.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { FeatureValue } from "../api/types";
import { count, figure, words } from "../lib/format";
import { Empty, Segments, Scroll } from "./basics";

export function Features({ features }: { features: FeatureValue[] }): JSX.Element {
  const odd = features.filter((feature) => feature.unusual);
  const [which, setWhich] = useState<"unusual" | "all">(odd.length ? "unusual" : "all");
  const [group, setGroup] = useState("");
  const [search, setSearch] = useState("");
  const groups = [...new Set(features.map((feature) => feature.group))];
  const shown = (which === "unusual" ? odd : features).filter(
    (feature) =>
      (!group || feature.group === group) &&
      (!search || `${feature.name} ${feature.text}`.toLowerCase().includes(search.toLowerCase())),
  );
  return (
    <>
      <div class="row bar">
        <Segments
          label="Which features"
          value={which}
          options={[
            ["unusual", `unusual (${odd.length})`],
            ["all", `all (${features.length})`],
          ]}
          onChange={setWhich}
        />
        <select aria-label="Group" value={group} onChange={(event) => setGroup(event.currentTarget.value)}>
          <option value="">all groups</option>
          {groups.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
        <input
          aria-label="Search features"
          placeholder="Search features"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <span class="dim">
          {count(shown.length)} shown. The band holds 90 % of usual calls, the line is their median.
        </span>
      </div>
      {shown.length === 0 ? (
        <Empty title="No feature">
          {which === "unusual" ? "Nothing here is outside its usual range." : "None fits."}
        </Empty>
      ) : (
        <Scroll label="Features" class="features">
          <table>
            <thead>
              <tr>
                <th>Feature</th>
                <th>Group</th>
                <th class="num">Value</th>
                <th class="num">Usual</th>
                <th class="ranges">Against the usual</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((feature) => (
                <tr key={feature.name} class={feature.unusual ? "odd" : ""}>
                  <td title={feature.text}>
                    {words(feature.name)}
                    <div class="dim small">{feature.text}</div>
                  </td>
                  <td class="dim">{feature.group}</td>
                  <td class="num">
                    {feature.value === null ? <span class="dim">missing</span> : figure(feature.value)}
                  </td>
                  <td class="num dim">
                    {feature.low === null || feature.high === null
                      ? "–"
                      : feature.low === feature.high
                        ? figure(feature.low)
                        : `${figure(feature.low)} – ${figure(feature.high)}`}
                  </td>
                  <td>
                    <Range feature={feature} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </>
  );
}

/** The usual band in the middle half; what is far outside stands at the edge. */
function Range({ feature }: { feature: FeatureValue }): JSX.Element {
  const { low, high, median, value, unusual } = feature;
  if (low === null || high === null) return <span class="dim">no reference</span>;
  const width = high - low || Math.max(Math.abs(high), 1) * 0.5;
  const at = (v: number): string => `${Math.min(98, Math.max(2, 25 + (50 * (v - low)) / width))}%`;
  return (
    <div
      class="range"
      role="img"
      aria-label={value === null ? "missing" : unusual ? "outside the usual range" : "within the usual range"}
    >
      <i class="rail" />
      <i class="usual" style={{ left: "25%", width: high === low ? "3px" : "50%" }} />
      {median !== null && <i class="median" style={{ left: at(median) }} />}
      {value !== null && <i class={unusual ? "is unusual" : "is"} style={{ left: at(value) }} />}
    </div>
  );
}

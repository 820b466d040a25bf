// Who is behind calls, whatever numbers are shown.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, part } from "../api/client";
import type { Counted, Linked, Sheet } from "../api/types";
import { country } from "../lib/countries";
import { count, percent, plural, time, words } from "../lib/format";
import { useLoad } from "../lib/hooks";
import { go, link } from "../lib/router";
import { Act, useMe } from "../lib/session";
import { Empty, Foreign, Panel, Score, Show, Tags, Scroll } from "../parts/basics";
import { Bars } from "../parts/charts";
import { CaseDialog, ListDialog } from "../parts/dialogs";
import { Graph } from "../parts/Graph";
import { levelOf, Timeline } from "../parts/Timeline";

/** Seconds that older calls may take. */
const FURTHER = 60;

export function Profile({ id }: { id: string }): JSX.Element {
  // Whose older calls were asked for.
  const [further, setFurther] = useState<string | null>(null);
  const wait = further === id ? FURTHER : undefined;
  const sheet = useLoad<Sheet>((signal) => get(`profiles/${part(id)}`, { wait }, signal), [id, wait]);
  const [open, setOpen] = useState<"case" | "deny" | null>(null);
  const me = useMe();
  return (
    <Show of={sheet} lines={12}>
      {(data) => {
        const times = data.timeline.map((call) => call.ts).sort();
        const worst = Math.max(0, ...data.timeline.map((call) => call.score));
        const shut = (): void => setOpen(null);
        return (
          <div class="stack">
            <section class="panel head">
              <div class="verdict">
                <div class={`l-${levelOf(worst)}`}>
                  <div class="big">{worst}</div>
                  <span class="dim">highest score</span>
                </div>
                <div class="who">
                  <div class="numbers mono">{data.profile}</div>
                  <div class="dim">
                    {plural(data.calls_total ?? data.timeline.length, "call")} of{" "}
                    {plural(data.numbers.length, "number")} to {plural(data.callees.length, "callee")}
                    {times[0] && `, ${time(times[0], true)} to ${time(times.at(-1) ?? times[0], true)}`}
                  </div>
                  {(data.joined_from?.length ?? 0) > 0 && (
                    <div class="dim">joined from {data.joined_from?.join(", ")}</div>
                  )}
                  {data.looked && !data.looked.all && (
                    <div class="dim">
                      Its calls since {time(data.looked.calls_since, true)}, others' since{" "}
                      {time(data.looked.others_since, true)}.{" "}
                      {wait ? (
                        "Older ones take too long."
                      ) : (
                        <button type="button" class="link" onClick={() => setFurther(id)}>
                          Look further back
                        </button>
                      )}
                    </div>
                  )}
                  <span class="tags">
                    {data.cases?.map((name) => (
                      <a key={name} class="badge warn" href={link(["investigate", "case", name])}>
                        case {name}
                      </a>
                    ))}
                    <Tags tags={[...new Set(data.calls.flatMap((call) => call.tags))]} most={9} />
                  </span>
                </div>
                <div class="push row">
                  <Act onClick={() => setOpen("case")} class="primary">
                    Open a case
                  </Act>
                  <Act onClick={() => setOpen("deny")}>Deny profile</Act>
                  <a class="button" href={link(["calls"], { profile: data.profile })}>
                    Its calls
                  </a>
                </div>
              </div>
              {methods(data.method).length > 0 && (
                <ul class="method">
                  {methods(data.method).map((text) => (
                    <li key={text}>
                      <Foreign text={text} />
                    </li>
                  ))}
                </ul>
              )}
            </section>
            <div class="grid">
              <Panel title="Timeline">
                {data.timeline.length ? <Timeline calls={data.timeline} /> : <Empty title="No calls" />}
              </Panel>
              <Panel title="Links" class="s8">
                {data.graph.nodes.length ? (
                  <Graph {...data.graph} me={data.profile} />
                ) : (
                  <Empty title="Nothing linked" />
                )}
              </Panel>
              <Panel title="Linked profiles" class="s4" flush>
                <LinkedTo of={data.linked} />
              </Panel>
              <Panel title="Numbers" class="s4">
                <Bars
                  rows={data.numbers.slice(0, 12).map((each) => ({
                    key: each.number,
                    name: <Foreign text={each.number} />,
                    calls: each.calls ?? (each.shown ?? 0) + (each.asserted ?? 0),
                  }))}
                />
              </Panel>
              <Panel title="Callees" class="s4">
                <Bars
                  rows={bars(data.callees, (value) => (
                    <Foreign text={value} />
                  ))}
                />
              </Panel>
              <Panel title="Outcomes and countries" class="s4">
                <Bars
                  rows={bars(
                    Array.isArray(data.outcomes)
                      ? data.outcomes
                      : Object.entries(data.outcomes).map(([value, calls]) => ({ value, calls })),
                    words,
                  )}
                />
                <hr />
                <Bars rows={bars(data.countries, (value) => (/^[A-Z]{2}$/.test(value) ? country(value) : value))} />
              </Panel>
              <Panel
                title={
                  data.calls.length < (data.calls_total ?? 0)
                    ? `The latest ${data.calls.length} of ${count(data.calls_total)} calls`
                    : `Calls (${count(data.calls.length)})`
                }
                flush
              >
                <Scroll label="Calls of the profile">
                  <table>
                    <thead>
                      <tr>
                        <th>Time</th>
                        <th>Score</th>
                        <th>Caller</th>
                        <th>Callee</th>
                        <th>Trunk</th>
                        <th>Outcome</th>
                        <th>Label</th>
                      </tr>
                    </thead>
                    <tbody>
                      {data.calls.slice(0, 200).map((call) => (
                        <tr key={call.call}>
                          <td>
                            <a href={link(["calls", call.call])}>{time(call.ts, true)}</a>
                          </td>
                          <td>
                            <Score score={call.score} level={call.level} />
                          </td>
                          <td>
                            <Foreign text={call.caller} />
                          </td>
                          <td>
                            <Foreign text={call.callee} />
                          </td>
                          <td>
                            <Foreign text={call.trunk} />
                          </td>
                          <td>{call.outcome ? words(call.outcome) : "–"}</td>
                          <td>{call.label && <span class={`badge ${call.label}`}>{call.label}</span>}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </Scroll>
              </Panel>
            </div>
            {open === "case" && (
              <CaseDialog profile={data.profile} close={(changed) => (changed ? go(link(["investigate"])) : shut())} />
            )}
            {open === "deny" && <ListDialog list="deny" kind="profile" value={data.profile} close={shut} />}
            {me.masked && <p class="dim">Numbers are masked for viewers.</p>}
          </div>
        );
      }}
    </Show>
  );
}

const methods = (method: Sheet["method"]): string[] => (method === null ? [] : [method].flat().filter(Boolean));
const bars = (items: Counted[], name: (value: string) => JSX.Element | string) =>
  items.slice(0, 8).map(({ value, calls }) => ({ key: value, name: name(value), calls }));

function LinkedTo({ of }: { of: Linked[] }): JSX.Element {
  if (!of.length) return <Empty title="No linked profiles">Nobody else shares what is rare of this one.</Empty>;
  return (
    <table>
      <tbody>
        {of.map((other) => (
          <tr key={other.profile}>
            <td>
              <a class="mono" href={link(["investigate", other.profile])}>
                {other.profile}
              </a>
              <ul class="evidence dim">
                {other.evidence.map((why, i) => (
                  <li key={i}>
                    {typeof why === "string" ? (
                      <Foreign text={why} />
                    ) : (
                      `${why.nats < 0 ? "against: " : ""}${why.kind} ${why.nats >= 0 ? "+" : "−"}${Math.abs(why.nats).toFixed(1)}${why.profiles ? `, had by ${plural(why.profiles, "profile")}` : ""}`
                    )}
                  </li>
                ))}
              </ul>
            </td>
            <td class="num">
              <strong>{percent(other.confidence, 1, 0)}</strong>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

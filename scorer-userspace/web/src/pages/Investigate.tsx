// Where an investigation begins: a number, a Call-ID, a profile, a case.

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { get } from "../api/client";
import type { Case, Page, ProfileRow } from "../api/types";
import { ago, count, time } from "../lib/format";
import { useLoad, usePages } from "../lib/hooks";
import { go, link } from "../lib/router";
import { Act } from "../lib/session";
import { Panel, Score, Segments, Show, Tags, Scroll } from "../parts/basics";
import { CaseDialog } from "../parts/dialogs";
import { levelOf } from "../parts/Timeline";

const ORDERS = [
  ["score", "by score"],
  ["calls", "by calls"],
  ["last", "latest"],
] as const;

export function Investigate({ query }: { query: Record<string, string> }): JSX.Element {
  const order = ORDERS.find(([key]) => key === query.order)?.[0] ?? "score";
  const field = useRef<HTMLInputElement>(null);
  const [opening, setOpening] = useState(false);
  const profiles = usePages<ProfileRow>("profiles", { order, limit: 100 });
  const cases = useLoad<Page<Case>>((signal) => get("cases", {}, signal), []);
  return (
    <div class="stack">
      <form
        class="row find"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          const asked = field.current?.value.trim();
          if (asked) go(link(["investigate", asked]));
        }}
      >
        <input
          ref={field}
          data-search
          aria-label="Number, Call-ID or profile"
          placeholder="Number, Call-ID or profile: who is behind it?"
          maxLength={512}
          spellcheck={false}
        />
        <button type="submit" class="primary">
          Investigate
        </button>
      </form>
      <div class="grid">
        <Panel
          title="Profiles"
          class="s8"
          flush
          tools={
            <Segments
              label="Order"
              value={order}
              options={ORDERS}
              onChange={(next) => go(link(["investigate"], { order: next }), true)}
            />
          }
        >
          <Show
            of={profiles}
            lines={12}
            empty={(data) => data.items.length === 0}
            emptyTitle="No profiles"
            emptyText="They are made from calls; none was recorded yet."
          >
            {(data) => (
              <Scroll label="Profiles" class="tall" of={profiles}>
                <table>
                  <thead>
                    <tr>
                      <th>Profile</th>
                      <th>Highest</th>
                      <th class="num">Calls</th>
                      <th class="num">Numbers</th>
                      <th class="num">Callees</th>
                      <th class="num">Fraud labels</th>
                      <th>Tags</th>
                      <th>Last call</th>
                    </tr>
                  </thead>
                  <tbody>
                    {data.items.map((row) => (
                      <tr key={row.profile}>
                        <td>
                          <a class="mono" href={link(["investigate", row.profile])}>
                            {row.profile}
                          </a>
                          {row.case && (
                            <>
                              {" "}
                              <a class="badge" href={link(["investigate", "case", row.case])}>
                                {row.case}
                              </a>
                            </>
                          )}
                        </td>
                        <td>
                          <Score score={row.score_max} level={levelOf(row.score_max)} />
                        </td>
                        <td class="num">{count(row.calls)}</td>
                        <td class="num">{count(row.numbers)}</td>
                        <td class="num">{count(row.callees)}</td>
                        <td class="num">{row.fraud_labels || <span class="dim">0</span>}</td>
                        <td>
                          <Tags tags={row.tags} most={3} />
                        </td>
                        <td class="dim clip" title={time(row.last, true)}>
                          {ago(row.last)}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Scroll>
            )}
          </Show>
        </Panel>
        <Panel title="Cases" class="s4" flush tools={<Act onClick={() => setOpening(true)}>Open a case</Act>}>
          <Show
            of={cases}
            empty={(data) => data.items.length === 0}
            emptyTitle="No cases"
            emptyText="Open one from a profile or a call, to follow a fraudster over changing numbers."
          >
            {(data) => (
              <table>
                <tbody>
                  {data.items.map((each) => (
                    <tr key={each.name}>
                      <td>
                        <a href={link(["investigate", "case", each.name])}>{each.name}</a>
                        <div class="dim">{each.method}</div>
                      </td>
                      <td>
                        <span class="badge">{each.status}</span>
                      </td>
                      <td class="dim clip">{ago(each.changed)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
          </Show>
        </Panel>
      </div>
      {opening && <CaseDialog close={(changed) => (setOpening(false), changed && cases.reload())} />}
    </div>
  );
}

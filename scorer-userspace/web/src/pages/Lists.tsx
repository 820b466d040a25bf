// Who is always let through and who never is.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { part, send } from "../api/client";
import type { ListChange, ListEntry, ListName } from "../api/types";
import { ago, time } from "../lib/format";
import { usePages } from "../lib/hooks";
import { go, link } from "../lib/router";
import { Act, doing, useMe } from "../lib/session";
import { Dialog, Foreign, Panel, Segments, Show, Text, Scroll } from "../parts/basics";
import { KINDS, ListDialog } from "../parts/dialogs";

export function Lists({ query }: { query: Record<string, string> }): JSX.Element {
  const { list = "", kind = "", q = "" } = query;
  const me = useMe();
  const entries = usePages<ListEntry>("lists", { list, kind, q, limit: 500 });
  const trail = usePages<ListChange>("lists/audit", { limit: 50 });
  const [adding, setAdding] = useState<ListName | null>(null);
  const [removing, setRemoving] = useState<ListEntry | null>(null);
  const set = (change: Record<string, string>): void => go(link(["lists"], { list, kind, q, ...change }), true);
  const changed = (): void => {
    entries.reload();
    trail.reload();
  };
  const remove = async (entry: ListEntry): Promise<void> => {
    setRemoving(null);
    if (
      await doing(
        send("DELETE", `lists/${part(entry.list)}/${part(entry.kind)}/${part(entry.value)}`),
        "Removed. Live within a second.",
      )
    )
      changed();
  };
  return (
    <div class="stack">
      <div class="row between">
        <div class="row">
          <Segments
            label="List"
            value={list}
            options={[
              ["", "both"],
              ["deny", "deny"],
              ["allow", "allow"],
            ]}
            onChange={(next) => set({ list: next })}
          />
          <select aria-label="Kind" value={kind} onChange={(event) => set({ kind: event.currentTarget.value })}>
            <option value="">any kind</option>
            {KINDS.map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
          <Text label="Search the lists" value={q} search done={(value) => set({ q: value })} />
        </div>
        <div class="row">
          <Act onClick={() => setAdding("deny")} class="primary">
            Deny…
          </Act>
          <Act onClick={() => setAdding("allow")}>Allow…</Act>
        </div>
      </div>
      <Panel title="Entries" flush>
        <Show
          of={entries}
          empty={(data) => data.items.length === 0}
          emptyTitle="No entries"
          emptyText={
            list || kind || q ? "None fits." : "Nobody is allowed or denied; the model and the policy decide alone."
          }
        >
          {(data) => (
            <Scroll label="Entries" class="tall" of={entries}>
              <table>
                <thead>
                  <tr>
                    <th>List</th>
                    <th>Kind</th>
                    <th>Value</th>
                    <th>Reason</th>
                    <th>By</th>
                    <th>Since</th>
                    <th>Until</th>
                    <th />
                  </tr>
                </thead>
                <tbody>
                  {data.items.map((entry) => (
                    <tr key={`${entry.list} ${entry.kind} ${entry.value}`}>
                      <td>
                        <span class={`badge ${entry.list === "deny" ? "bad" : "ok"}`}>{entry.list}</span>
                      </td>
                      <td>{entry.kind}</td>
                      <td>
                        <Foreign text={entry.value} />
                      </td>
                      <td>
                        <Foreign text={entry.reason} />
                      </td>
                      <td>{entry.author ?? "–"}</td>
                      <td class="dim" title={time(entry.created, true)}>
                        {ago(entry.created)}
                      </td>
                      <td class="dim">{entry.expires ? time(entry.expires, true) : "for ever"}</td>
                      <td class="num">
                        <Act
                          class="link"
                          why={me.masked && /\*/.test(entry.value) && "Numbers are masked for you."}
                          onClick={() => setRemoving(entry)}
                        >
                          Remove
                        </Act>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )}
        </Show>
      </Panel>
      <Panel title="Who changed what" flush>
        <Show
          of={trail}
          empty={(data) => data.items.length === 0}
          emptyTitle="No changes yet"
          emptyText="Every change is kept here."
        >
          {(data) => (
            <Scroll label="Changes" of={trail}>
              <table>
                <tbody>
                  {data.items.map((each, i) => (
                    <tr key={i}>
                      <td class="dim">{time(each.ts, true)}</td>
                      <td>{each.author ?? "–"}</td>
                      <td>{each.change}</td>
                      <td>{[each.list, each.kind].filter(Boolean).join(" ")}</td>
                      <td>
                        <Foreign text={each.value} />
                      </td>
                      <td>
                        <Foreign text={each.reason} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )}
        </Show>
      </Panel>
      {adding && <ListDialog list={adding} close={(did) => (setAdding(null), did && changed())} />}
      {removing && (
        <Dialog title="Remove the entry" close={() => setRemoving(null)}>
          <p>
            {removing.list} {removing.kind} <Foreign text={removing.value} />: {removing.reason}
          </p>
          <div class="row end">
            <button type="button" onClick={() => setRemoving(null)}>
              Cancel
            </button>
            <button type="button" class="primary" onClick={() => void remove(removing)}>
              Remove
            </button>
          </div>
        </Dialog>
      )}
    </div>
  );
}

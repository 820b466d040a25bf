// A case: whom it follows, what is done at the next call, notes.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, part, send } from "../api/client";
import type { Case } from "../api/types";
import { time } from "../lib/format";
import { useLoad } from "../lib/hooks";
import { link } from "../lib/router";
import { Act, doing, may, useMe } from "../lib/session";
import { Empty, Facts, Foreign, Panel, Show } from "../parts/basics";
import { NextCall } from "../parts/NextCall";

export function CasePage({ name }: { name: string }): JSX.Element {
  const found = useLoad<Case>((signal) => get(`cases/${part(name)}`, {}, signal), [name]);
  const [note, setNote] = useState("");
  const me = useMe();
  const change = async (body: Record<string, unknown>, done: string): Promise<void> => {
    if (await doing(send("PATCH", `cases/${part(name)}`, body), done)) found.reload();
  };
  return (
    <Show of={found} lines={8}>
      {(data) => (
        <div class="grid">
          <Panel title={`Case ${data.name}`} class="s6" tools={<span class="badge">{data.status}</span>}>
            <Facts
              of={[
                ["Method", <Foreign key="m" text={data.method} />],
                ["Opened", time(data.created, true)],
                ["Changed", time(data.changed, true)],
                [
                  "Profiles",
                  data.profiles.length ? (
                    <ul key="p">
                      {data.profiles.map((each) => {
                        const id = each.profile;
                        return (
                          <li key={id}>
                            <a class="mono" href={link(["investigate", id])}>
                              {id}
                            </a>
                          </li>
                        );
                      })}
                    </ul>
                  ) : (
                    "none attached"
                  ),
                ],
              ]}
            />
            <div class="row acts-below">
              <NextCall
                key={data.changed}
                now={data.next_call}
                onSet={may(me, "analyst") ? (next) => void change({ next_call: next }, "Live within a second.") : null}
              />
              {data.status === "closed" ? (
                <Act onClick={() => void change({ status: "open" }, "The case is open again.")}>Open again</Act>
              ) : (
                <Act onClick={() => void change({ status: "closed" }, "The case is closed.")}>Close the case</Act>
              )}
            </div>
          </Panel>
          <Panel title="Notes" class="s6">
            <form
              class="stack"
              onSubmit={(event) => {
                event.preventDefault();
                if (note.trim()) void change({ note: note.trim() }, "Noted.").then(() => setNote(""));
              }}
            >
              <textarea
                rows={2}
                aria-label="A note"
                placeholder="A note"
                maxLength={2000}
                value={note}
                onInput={(event) => setNote(event.currentTarget.value)}
              />
              <div class="row end">
                <Act type="submit" onClick={() => {}} why={!note.trim() && "Write something first."}>
                  Add the note
                </Act>
              </div>
            </form>
            {data.notes.length === 0 && <Empty title="No notes" />}
            {data.notes.map((each, i) => (
              <article class="noted" key={i}>
                <div class="dim">
                  {each.author}, {time(each.at, true)}
                </div>
                <Foreign text={each.text} />
              </article>
            ))}
          </Panel>
        </div>
      )}
    </Show>
  );
}

// What is shared with other organisations.

import type { JSX } from "preact";
import { get } from "../api/client";
import { time, words } from "../lib/format";
import { useLoad } from "../lib/hooks";
import { Empty, Facts, Foreign, Panel, Show, Scroll } from "../parts/basics";

type Answer = { members?: Record<string, unknown>[] } & Record<string, unknown>;

export function Consortium(): JSX.Element {
  const answer = useLoad<Answer>((signal) => get("consortium", {}, signal), []);
  if (answer.problem?.status === 404) {
    return (
      <Panel>
        <Empty title="No consortium is configured">{answer.problem.detail}</Empty>
      </Panel>
    );
  }
  return (
    <Show of={answer} lines={8}>
      {({ members = [], ...rest }) => (
        <div class="grid">
          <Panel title="State" class="s4">
            <Facts
              of={Object.entries(rest).map(([key, value]) => [words(key), <Foreign key={key} text={said(value)} />])}
            />
          </Panel>
          <Panel title="Members" class="s8" flush>
            {members.length === 0 ? <Empty title="No members yet" /> : <Members of={members} />}
          </Panel>
        </div>
      )}
    </Show>
  );
}

function Members({ of }: { of: Record<string, unknown>[] }): JSX.Element {
  const columns = [...new Set(of.flatMap((member) => Object.keys(member)))].slice(0, 8);
  return (
    <Scroll label="Members">
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column}>{words(column)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {of.map((member, i) => (
            <tr key={i}>
              {columns.map((column) => (
                <td key={column}>
                  <Foreign text={said(member[column])} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function said(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return /^\d{4}-\d\d-\d\dT/.test(value) ? time(value, true) : value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// What other organisations tell, and how far they are believed.

import type { JSX } from "preact";
import { get } from "../api/client";
import type { ConsortiumMember, ConsortiumNow } from "../api/types";
import { count, time, words } from "../lib/format";
import { useLoad } from "../lib/hooks";
import { link } from "../lib/router";
import { Empty, Facts, Foreign, Panel, Scroll, Show } from "../parts/basics";

const REFRESH_MS = 5_000;

export function Consortium(): JSX.Element {
  const now = useLoad<ConsortiumNow>((signal) => get("consortium", {}, signal), [], REFRESH_MS);
  if (now.problem?.status === 404) {
    return (
      <Panel>
        <Empty title="No consortium is configured">
          {now.problem.detail} docs/consortium.md says how to found one, and how to join.
        </Empty>
      </Panel>
    );
  }
  return (
    <Show of={now} lines={8}>
      {(data) => (
        <div class="grid">
          <Panel title="State" class="s4">
            <State of={data} />
          </Panel>
          <Panel title="Members" class="s8" flush>
            {data.members.length === 0 ? (
              <Empty title="No members yet">The hub was not asked yet, or nobody has joined.</Empty>
            ) : (
              <Members of={data.members} />
            )}
          </Panel>
          <Panel title="Refused messages" class="s4" flush>
            <Refused of={data.refused} />
          </Panel>
          <Panel title="Calls they told of" class="s8">
            <p>
              Calls by a caller that another organisation has confirmed carry the tag{" "}
              <a href={link(["calls"], { tag: "consortium" })}>consortium</a>; who says so stands with each call's
              reasons. What is done is the <a href={link(["policy"])}>policy</a>'s, and an own allow list comes first.
            </p>
          </Panel>
        </div>
      )}
    </Show>
  );
}

function State({ of }: { of: ConsortiumNow }): JSX.Element {
  return (
    <Facts
      of={[
        ["Consortium", <Foreign key="name" text={of.consortium} />],
        ["Pseudonyms", of.mode],
        ["Epoch of keys", of.epoch],
        ["NATS", <span class={`badge ${of.connected ? "ok" : "bad"}`}>{of.connected ? "connected" : "away"}</span>],
        ["Messages read", count(of.position)],
        ["Not yet read", of.lag > 0 ? <span class="badge bad">{count(of.lag)}</span> : "0"],
        ["As of", of.as_of ? time(of.as_of, true) : null],
        ["Strong", `${of.quorum.members} members, weight ${of.quorum.weight}`],
      ]}
    />
  );
}

function Members({ of }: { of: ConsortiumMember[] }): JSX.Element {
  return (
    <Scroll label="Members">
      <table>
        <thead>
          <tr>
            <th>Member</th>
            <th>State</th>
            <th class="num">Trust</th>
            <th class="num">Events that hold</th>
            <th class="num">Taken so far</th>
            <th>Refused</th>
          </tr>
        </thead>
        <tbody>
          {of.map((member) => (
            <tr key={member.name}>
              <td>
                <Foreign text={member.name} />
              </td>
              <td title={member.revoked ? time(member.revoked, true) : undefined}>
                {member.revoked ? (
                  <span class="badge bad">revoked</span>
                ) : member.joined ? (
                  <span class="badge ok">joined</span>
                ) : (
                  <span class="badge">invited</span>
                )}
              </td>
              <td class="num">{member.trust} %</td>
              <td class="num">{count(member.active)}</td>
              <td class="num">{count(member.taken)}</td>
              <td class="dim">
                {Object.entries(member.refused)
                  .map(([cause, n]) => `${words(cause)} ${count(n)}`)
                  .join(", ") || "–"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Refused({ of }: { of: Record<string, number> }): JSX.Element {
  const causes = Object.entries(of).sort((a, b) => b[1] - a[1]);
  if (causes.length === 0)
    return <Empty title="None">Every message was signed, in time and within its member's rate.</Empty>;
  return (
    <table>
      <tbody>
        {causes.map(([cause, n]) => (
          <tr key={cause}>
            <td>{words(cause)}</td>
            <td class="num">{count(n)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

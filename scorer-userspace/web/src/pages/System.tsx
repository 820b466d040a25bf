// The scorer itself: versions, rings, queues, records, what `doctor` says.

import type { JSX } from "preact";
import { get } from "../api/client";
import type { AuditLine, Page, System as SystemNow } from "../api/types";
import { ago, bytes, count, percent, time, words } from "../lib/format";
import { useLoad } from "../lib/hooks";
import { may, useMe } from "../lib/session";
import { Empty, Facts, Foreign, Panel, Show, Scroll } from "../parts/basics";

export function System(): JSX.Element {
  const system = useLoad<SystemNow>((signal) => get("system", {}, signal), [], 5_000);
  const me = useMe();
  return (
    <div class="stack">
      <Show of={system} lines={12}>
        {(data) => (
          <div class="grid">
            <Panel title="This scorer" class="s4">
              <Facts
                of={[
                  ["Version", data.version],
                  ["Host", <Foreign key="h" text={data.host} />],
                  ["Mode", data.mode],
                  ["Started", `${time(data.started, true)}, ${ago(data.started)}`],
                  ["Model", <Value key="m" of={data.model} />],
                  ["BPF object", <Value key="o" of={data.object} />],
                ]}
              />
            </Panel>
            <Panel title="Interfaces and rings" class="s4">
              {!data.interfaces?.length && <Empty title="No interface">This scorer listens to none.</Empty>}
              {data.interfaces?.map((each, i) => (
                <p key={i}>
                  <Value of={each} />
                </p>
              ))}
              <Rings of={data.rings ?? {}} />
            </Panel>
            <Panel title="Records" class="s4">
              {data.records ? (
                <Facts
                  of={[
                    ["Folder", <Foreign key="f" text={data.records.folder} mono />],
                    ["Size", bytes(data.records.bytes)],
                    ...(data.memory
                      ? ([
                          [
                            "In memory",
                            `${count(data.memory.calls)} calls, ${bytes(data.memory.bytes)} of ${bytes(data.memory.most)}`,
                          ],
                        ] as const)
                      : []),
                    [
                      "State",
                      data.records.paused ? (
                        <span class="badge bad">paused: calls are not recorded</span>
                      ) : (
                        <span class="badge ok">recording</span>
                      ),
                    ],
                  ]}
                />
              ) : (
                <Empty title="No records">Calls are not kept (records.folder).</Empty>
              )}
            </Panel>
            <Panel title="Queues" class="s6" flush>
              <Queues of={data.queues ?? {}} />
            </Panel>
            <Panel title="Doctor" class="s6" flush>
              {!data.doctor?.length ? (
                <Empty title="Nothing checked">`scorer doctor` on the host says what it needs.</Empty>
              ) : (
                <table>
                  <tbody>
                    {data.doctor.map((each) => (
                      <tr key={each.check}>
                        <td>
                          {each.ok ? <span class="badge ok">✓ good</span> : <span class="badge bad">✗ look</span>}
                        </td>
                        <td>{each.check}</td>
                        <td class={each.ok ? "dim" : ""}>
                          <Foreign text={each.detail} />
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              )}
            </Panel>
          </div>
        )}
      </Show>
      {may(me, "admin") ? <Audit /> : <p class="dim">The audit log is for the role admin; you are {me.role}.</p>}
      <p class="dim">
        What this page is made of, and its <a href="assets/licences.txt">licences</a>.
      </p>
    </div>
  );
}

/** What the kernel counted; what is not zero first. */
function Rings({ of }: { of: Record<string, unknown> }): JSX.Element | null {
  const all = Object.entries(of).sort((a, b) => Number(a[1] === 0) - Number(b[1] === 0));
  if (!all.length) return null;
  return (
    <Scroll label="Counters of the kernel" class="counters">
      <Facts
        of={all.map(([name, value]) => [
          words(name),
          typeof value === "number" ? <span class={value ? "" : "dim"}>{count(value)}</span> : <Value of={value} />,
        ])}
      />
    </Scroll>
  );
}

function Queues({ of }: { of: SystemNow["queues"] }): JSX.Element {
  if (!Object.keys(of).length) return <Empty title="No queues" />;
  return (
    <table>
      <thead>
        <tr>
          <th>Queue</th>
          <th class="num">Waiting</th>
          <th class="num">Room</th>
          <th class="ranges">Filled</th>
          <th class="num">Dropped</th>
        </tr>
      </thead>
      <tbody>
        {Object.entries(of).map(([name, queue]) => (
          <tr key={name}>
            <td>{words(name)}</td>
            <td class="num">{count(queue.length)}</td>
            <td class="num dim">{queue.capacity ? count(queue.capacity) : "–"}</td>
            <td>
              <div class="track" role="img" aria-label={percent(queue.length, queue.capacity)}>
                <i
                  style={{
                    width: `${Math.min(100, (100 * queue.length) / Math.max(1, queue.capacity))}%`,
                  }}
                />
              </div>
            </td>
            <td class={`num ${queue.dropped ? "l-critical" : "dim"}`}>{count(queue.dropped)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Whatever the server says of a thing, on one line. */
function Value({ of }: { of: unknown }): JSX.Element {
  if (of === null || of === undefined) return <span class="dim">–</span>;
  if (typeof of !== "object") return <Foreign text={String(of)} />;
  const { name, ...rest } = of as Record<string, unknown>;
  const parts = Object.entries(rest).map(
    ([key, value]) =>
      `${words(key)} ${typeof value === "object" ? JSON.stringify(value) : typeof value === "number" ? count(value) : String(value)}`,
  );
  return (
    <>
      {typeof name === "string" && (
        <strong>
          <Foreign text={name} />{" "}
        </strong>
      )}
      <Foreign text={parts.join(", ")} />
    </>
  );
}

function Audit(): JSX.Element {
  const audit = useLoad<Page<AuditLine>>((signal) => get("audit", { limit: 100 }, signal), []);
  return (
    <Panel title="Audit" flush>
      <Show
        of={audit}
        empty={(data) => data.items.length === 0}
        emptyTitle="Nothing was changed yet"
        emptyText="Every change through the API is kept here."
      >
        {(data) => (
          <Scroll label="Audit log">
            <table>
              <tbody>
                {data.items.map((line, i) => (
                  <tr key={i}>
                    <td class="dim">{time(line.ts, true)}</td>
                    <td>{line.who}</td>
                    <td class="dim">{line.role}</td>
                    <td>{line.what}</td>
                    <td>
                      <Foreign text={line.detail} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </Show>
    </Panel>
  );
}

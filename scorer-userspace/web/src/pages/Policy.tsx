// What is done with calls, and what another policy would do.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, Problem, send } from "../api/client";
import type { Fault, Policy as PolicyNow, Simulation } from "../api/types";
import { ACTIONS } from "../lib/filters";
import { count, percent, words } from "../lib/format";
import { useLoad } from "../lib/hooks";
import { link } from "../lib/router";
import { Act } from "../lib/session";
import { Empty, Foreign, Panel, Score, Segments, Show, Skeleton, Trouble, Scroll } from "../parts/basics";

const SPANS = [
  ["1h", "last hour"],
  ["24h", "last 24 h"],
  ["7d", "last 7 days"],
] as const;

export function Policy(): JSX.Element {
  const policy = useLoad<PolicyNow>((signal) => get("policy", {}, signal), []);
  return (
    <Show of={policy} lines={12}>
      {(data) => (
        <div class="stack">
          <Panel
            title="Rules in force"
            tools={
              <>
                {data.observes && (
                  <span class="badge warn" title="Verdicts say what would be done; nothing is">
                    observes only
                  </span>
                )}
                <span class="mono dim">{data.file ?? "no file: every call passes"}</span>
              </>
            }
            flush
          >
            {data.faults && data.faults.length > 0 && (
              <Faults of={data.faults} title="The file has faults; the rules of before stay in force" />
            )}
            {data.rules.length === 0 ? (
              <Empty title="No rules">
                Every call passes. Write a policy below, try it on past calls, and save it in a file (docs/policy.md).
              </Empty>
            ) : (
              <table>
                <thead>
                  <tr>
                    <th class="num">#</th>
                    <th>Rule</th>
                    <th>Conditions, all of which must hold</th>
                    <th>Action</th>
                    <th class="num">Decided</th>
                  </tr>
                </thead>
                <tbody>
                  {data.rules.map((rule, i) => (
                    <tr key={i}>
                      <td class="num dim">{i + 1}</td>
                      <td>
                        <Foreign text={rule.name} />
                        {rule.comment && <div class="dim small">{rule.comment}</div>}
                      </td>
                      <td class="dim">{conditions(rule.conditions)}</td>
                      <td>
                        {rule.action} {rule.response} {rule.dry_run && <span class="badge warn">dry run</span>}
                      </td>
                      <td class="num">{rule.hits == null ? <span class="dim">–</span> : count(rule.hits)}</td>
                    </tr>
                  ))}
                  {data.default && (
                    <tr>
                      <td />
                      <td class="dim">no rule</td>
                      <td class="dim">every other call</td>
                      <td>{data.default}</td>
                      <td />
                    </tr>
                  )}
                </tbody>
              </table>
            )}
          </Panel>
          <Try text={data.text} />
        </div>
      )}
    </Show>
  );
}

function conditions(of: unknown): string {
  if (Array.isArray(of))
    return of.map((each) => (typeof each === "string" ? each : conditions(each))).join("; ") || "every call";
  if (of && typeof of === "object") {
    const all = Object.entries(of).map(
      ([key, value]) => `${words(key)} ${Array.isArray(value) ? value.join(", ") : String(value)}`,
    );
    return all.join("; ") || "every call";
  }
  return of ? String(of) : "every call";
}

/** The text of a policy, and what it would do to past calls. Nothing is changed by it. */
function Try({ text }: { text: string }): JSX.Element {
  const [draft, setDraft] = useState(text);
  const [since, setSince] = useState<(typeof SPANS)[number][0]>("24h");
  const [result, setResult] = useState<Simulation | Problem | "busy" | null>(null);
  const run = async (): Promise<void> => {
    setResult("busy");
    const until = new Date();
    const hours = { "1h": 1, "24h": 24, "7d": 168 }[since];
    const from = new Date(until.getTime() - hours * 3_600_000);
    try {
      setResult(
        await send<Simulation>("POST", "policy/simulate", {
          text: draft,
          since: from.toISOString(),
          until: until.toISOString(),
        }),
      );
    } catch (error) {
      setResult(error instanceof Problem ? error : new Problem(0, "The answer was not understood", String(error)));
    }
  };
  return (
    <div class="grid">
      <Panel
        title="Try a policy on past calls"
        class="s6"
        tools={<Segments label="Calls of" value={since} options={SPANS} onChange={setSince} />}
      >
        <textarea
          class="code"
          rows={24}
          spellcheck={false}
          aria-label="Policy as TOML"
          value={draft}
          onInput={(event) => setDraft(event.currentTarget.value)}
        />
        <div class="row">
          <Act class="primary" onClick={() => void run()} why={result === "busy" && "It is running."}>
            Dry run
          </Act>
          <button type="button" onClick={() => setDraft(text)}>
            Back to the one in force
          </button>
          <span class="dim">Nothing is changed: the policy is a file on the host.</span>
        </div>
      </Panel>
      <Panel title="What it would do" class="s6">
        {result === null && (
          <Empty title="Not run yet">Change the text, and see which calls would be treated otherwise.</Empty>
        )}
        {result === "busy" && <Skeleton lines={8} />}
        {result instanceof Problem && <Trouble problem={result} />}
        {result && result !== "busy" && !(result instanceof Problem) && <Effect of={result} />}
      </Panel>
    </div>
  );
}

function Faults({ of, title }: { of: Fault[]; title: string }): JSX.Element {
  return (
    <div class="state problem" role="alert">
      <strong>{title}</strong>
      <ul>
        {of.map((fault, i) => (
          <li key={i}>
            <span class="mono">
              {fault.line}:{fault.column}
            </span>{" "}
            <Foreign text={fault.message} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Effect({ of }: { of: Simulation }): JSX.Element {
  if (of.faults.length) return <Faults of={of.faults} title="The policy has faults" />;
  const actions = [...new Set([...ACTIONS, ...Object.keys(of.now), ...Object.keys(of.then)])].filter(
    (action) => of.now[action] || of.then[action],
  );
  const most = Math.max(1, ...Object.values(of.now), ...Object.values(of.then));
  return (
    <div class="stack effect">
      <p>
        <strong>{count(of.changed)}</strong> of {count(of.calls)} calls ({percent(of.changed, of.calls)}) would get
        another action.
        {of.cut && " There are more calls than were looked at."}
      </p>
      {of.warnings && of.warnings.length > 0 && <Faults of={of.warnings} title="Good, but odd" />}
      <table>
        <thead>
          <tr>
            <th>Action</th>
            <th class="num">Now</th>
            <th class="num">Then</th>
            <th class="num">Difference</th>
            <th class="ranges" />
          </tr>
        </thead>
        <tbody>
          {actions.map((action) => {
            const [now, then] = [of.now[action] ?? 0, of.then[action] ?? 0];
            return (
              <tr key={action}>
                <td>{action}</td>
                <td class="num">{count(now)}</td>
                <td class="num">{count(then)}</td>
                <td class="num">{then === now ? "0" : `${then > now ? "+" : "−"}${count(Math.abs(then - now))}`}</td>
                <td>
                  <div class="pair" aria-hidden="true">
                    <i style={{ width: `${(100 * now) / most}%`, background: "var(--low)" }} />
                    <i style={{ width: `${(100 * then) / most}%`, background: "var(--accent)" }} />
                  </div>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {of.examples.length > 0 && (
        <Scroll label="Examples">
          <table>
            <thead>
              <tr>
                <th>Example</th>
                <th>Score</th>
                <th>Now</th>
                <th>Then</th>
                <th>By rule</th>
              </tr>
            </thead>
            <tbody>
              {of.examples.map((call) => (
                <tr key={call.call}>
                  <td>
                    <a href={link(["calls", call.call])}>
                      <Foreign text={call.caller} /> → <Foreign text={call.callee} />
                    </a>
                  </td>
                  <td>
                    <Score score={call.score} level={call.level} />
                  </td>
                  <td>{call.now}</td>
                  <td>{call.then}</td>
                  <td>
                    <Foreign text={call.rule} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </div>
  );
}

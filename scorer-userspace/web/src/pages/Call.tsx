// One call, with all that is known of it.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, part } from "../api/client";
import type { CallDetail, ListName } from "../api/types";
import { country } from "../lib/countries";
import { latency, percent, seconds, time, words } from "../lib/format";
import { useLive, useLoad } from "../lib/hooks";
import { link } from "../lib/router";
import { Act, may, say, useMe } from "../lib/session";
import { Empty, Facts, Foreign, LevelMark, Panel, Show, Tags, Scroll } from "../parts/basics";
import { Reasons } from "../parts/charts";
import { CaseDialog, LabelDialog, ListDialog } from "../parts/dialogs";
import { Features } from "../parts/Features";
import { Ladder } from "../parts/Ladder";

type Open =
  | { what: "label"; label: "fraud" | "genuine" }
  | { what: "list"; list: ListName; kind: string; value: string }
  | { what: "case" }
  | null;

export function CallPage({ id }: { id: string }): JSX.Element {
  const call = useLoad<CallDetail>((signal) => get(`calls/${part(id)}`, {}, signal), [id]);
  const [open, setOpen] = useState<Open>(null);
  const me = useMe();
  const shut = (changed: boolean): void => {
    setOpen(null);
    if (changed) call.reload();
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const label = { f: "fraud", n: "genuine" }[event.key] as "fraud" | "genuine" | undefined;
      const busy = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
      if (!label || !call.data || busy || open || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (may(me, "analyst")) setOpen({ what: "label", label });
      else say(`Needs the role analyst; you are ${me.role}.`, true);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [call.data, open, me]);
  return (
    <Show of={call} lines={12}>
      {(data) => (
        <div class="stack">
          <Follow call={data} changed={call.reload} />
          <Head call={data} open={setOpen} masked={me.masked} />
          <div class="grid">
            <div class="stack s7">
              <Panel title="Why this score">
                {data.reasons.length ? (
                  <Reasons reasons={data.reasons} />
                ) : (
                  <Empty title="No reasons">The model gave none.</Empty>
                )}
                <p class="dim note">Log-odds: bars to the right raise the score, to the left they lower it.</p>
              </Panel>
              <Panel title="Headers of the INVITE" class="grow" flush>
                <Headers call={data} />
              </Panel>
            </div>
            <div class="stack s5">
              <Panel title="The call">
                <What call={data} />
              </Panel>
              <Panel title="Messages" class="grow">
                {data.ladder.length ? (
                  <Ladder steps={data.ladder} source={data.source} destination={data.destination} />
                ) : (
                  <Empty title="No messages">None of this dialog is known.</Empty>
                )}
              </Panel>
            </div>
            <Panel title="Features" flush>
              {data.features.length ? (
                <Features features={data.features} />
              ) : (
                <Empty title="No features">They are not recorded (records.features).</Empty>
              )}
            </Panel>
            <Panel title="Labels and cases" flush>
              <Given call={data} />
            </Panel>
          </div>
          {open?.what === "label" && <LabelDialog call={data} label={open.label} close={shut} />}
          {open?.what === "list" && <ListDialog {...open} close={shut} />}
          {open?.what === "case" && <CaseDialog {...(data.profile && { profile: data.profile })} close={shut} />}
        </div>
      )}
    </Show>
  );
}

/** Loads again when the call has gone on. */
function Follow({ call, changed }: { call: CallDetail; changed: () => void }): null {
  const outcome = useLive().calls.find((each) => each.call === call.call)?.outcome ?? null;
  useEffect(() => {
    if (outcome !== null && outcome !== call.outcome) changed();
  }, [outcome]);
  return null;
}

function Head({ call, open, masked }: { call: CallDetail; open: (what: Open) => void; masked: boolean }): JSX.Element {
  const unmasked = masked && "Numbers are masked for you.";
  const deny = (kind: string, value: string | null) => (): void =>
    open({ what: "list", list: "deny", kind, value: value ?? "" });
  return (
    <section class="panel head">
      <div class="verdict">
        <div class={`l-${call.level}`}>
          <div class="big">{call.score}</div>
          <LevelMark level={call.level} />
        </div>
        <div class="who">
          <div class="numbers">
            <Foreign text={call.caller} /> <span class="dim">→</span> <Foreign text={call.callee} />
          </div>
          <div class="dim">
            {time(call.ts, true)} · <Foreign text={call.trunk ?? "no known trunk"} /> · {country(call.caller_country)} →{" "}
            {country(call.callee_country)}
          </div>
          <Tags tags={call.tags} />
        </div>
        <div class="push acts">
          <div class="row">
            {call.label && <span class={`badge ${call.label}`}>labelled {call.label}</span>}
            <Act
              class={call.label === "fraud" ? "" : "danger"}
              why={call.label === "fraud" && "It has this label."}
              onClick={() => open({ what: "label", label: "fraud" })}
              title="f"
            >
              Fraud
            </Act>
            <Act
              why={call.label === "genuine" && "It has this label."}
              onClick={() => open({ what: "label", label: "genuine" })}
              title="n"
            >
              Genuine
            </Act>
          </div>
          <div class="row">
            <Act
              why={unmasked || (!/\d/.test(call.caller ?? "") && "No number is shown.")}
              onClick={deny("number", call.caller)}
            >
              Deny number
            </Act>
            <Act
              why={unmasked || (!/\d/.test(call.caller ?? "") && "No number is shown.")}
              onClick={() => open({ what: "list", list: "allow", kind: "number", value: call.caller ?? "" })}
            >
              Allow number
            </Act>
            <Act onClick={deny("source", call.source.replace(/^\[?(.*?)\]?:\d+$/, "$1"))}>Deny source</Act>
            <Act onClick={deny("fingerprint", call.fingerprint)}>Deny fingerprint</Act>
            <Act why={!call.profile && "The call has no profile."} onClick={() => open({ what: "case" })}>
              Open a case
            </Act>
          </div>
        </div>
      </div>
    </section>
  );
}

function What({ call }: { call: CallDetail }): JSX.Element {
  const outcome = [
    call.outcome && words(call.outcome),
    call.code,
    call.setup_s !== null && `answered after ${seconds(call.setup_s)}`,
    call.duration_s !== null && `talk ${seconds(call.duration_s)}`,
  ];
  const asserted = call.network_number !== null && call.network_number !== call.caller;
  return (
    <Facts
      of={[
        ["Shown", <Foreign key="c" text={call.caller} />],
        [
          "Network's number",
          <span key="n" class={asserted ? "l-high" : ""}>
            <Foreign text={call.network_number} />
            {asserted && " differs"}
          </span>,
        ],
        ["Called", <Foreign key="d" text={call.callee} />],
        [
          "Verdict",
          <span key="v">
            {call.would ? `pass (would ${call.would})` : call.action}
            {call.response !== null && ` ${call.response}`}
            {call.rule && (
              <>
                , rule <Foreign text={call.rule} />
              </>
            )}
            {call.dry_run && `; dry run: ${call.dry_run}`}
          </span>,
        ],
        ["Outcome", outcome.filter(Boolean).join(", ") || "not known yet"],
        ["Probability", `${percent(call.probability, 1, 2)} of fraud by ${call.model}`],
        ["Lists", call.lists.length ? call.lists.join(", ") : "none names it"],
        [
          "Profile",
          call.profile && (
            <a key="p" class="mono" href={link(["investigate", call.profile])}>
              {call.profile}
            </a>
          ),
        ],
        [
          "Fingerprint",
          <a key="f" class="mono" href={link(["calls"], { fingerprint: call.fingerprint })}>
            {call.fingerprint}
          </a>,
        ],
        ["Path", `${call.source} → ${call.destination}, ${call.transport}`],
        ["Latency", latency(call.latency_ns)],
        ["Call-ID", <Foreign key="i" text={call.call_id} mono />],
      ]}
    />
  );
}

function Headers({ call }: { call: CallDetail }): JSX.Element {
  if (!call.headers) {
    return (
      <Empty title="The INVITE is no longer in memory">
        Only the latest are kept. Features and reasons below were computed from it.
      </Empty>
    );
  }
  return (
    <Scroll label="Headers">
      <table class="headers">
        <tbody>
          {call.headers.map((header, i) => (
            <tr key={i} class={header.odd ? "odd" : ""}>
              <td>
                <Foreign text={header.name} />
              </td>
              <td>
                <Foreign text={header.value} />
                {header.odd && <div class="why">▲ {header.odd}</div>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Given({ call }: { call: CallDetail }): JSX.Element {
  if (!call.labels.length && !call.cases.length)
    return <Empty title="No labels yet">Say what the call was: f for fraud, n for genuine.</Empty>;
  return (
    <table>
      <tbody>
        {call.cases.map((name) => (
          <tr key={name}>
            <td>case</td>
            <td colSpan={3}>
              <a href={link(["investigate", "case", name])}>{name}</a>
            </td>
          </tr>
        ))}
        {call.labels.map((given, i) => (
          <tr key={i}>
            <td>
              <span class={`badge ${given.label}`}>{given.label}</span>
            </td>
            <td>{given.by}</td>
            <td class="dim">{time(given.at, true)}</td>
            <td>
              <Foreign text={given.note} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

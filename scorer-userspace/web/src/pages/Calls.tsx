// All calls, live and past, narrowed by filters that stand in the address.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Call } from "../api/types";
import { ACTIONS, chosen, type Field, type Filters, fits, OUTCOMES, TAGS } from "../lib/filters";
import { count, LEVELS, seconds, time, words } from "../lib/format";
import { useLive, usePages, useStored } from "../lib/hooks";
import { go, link } from "../lib/router";
import { say } from "../lib/session";
import { Empty, Foreign, Score, Skeleton, Tags, Text, Trouble } from "../parts/basics";
import { type Column, VirtualTable } from "../parts/VirtualTable";

const PAGE = 200;
const NONE: Call[] = [];
/** How long a row that streamed in stands out. */
const FRESH_MS = 2_000;

export const COLUMNS: Column<Call>[] = [
  { name: "Time", width: "6.2rem", cell: (call) => <span title={call.ts}>{time(call.ts)}</span> },
  { name: "Score", width: "4.2rem", cell: (call) => <Score score={call.score} level={call.level} /> },
  { name: "Caller", width: "minmax(8.5rem, 1.1fr)", cell: (call) => <Foreign text={call.caller} /> },
  { name: "Callee", width: "minmax(8.5rem, 1.1fr)", cell: (call) => <Foreign text={call.callee} /> },
  { name: "From", width: "3rem", cell: (call) => call.caller_country ?? <span class="dim">–</span> },
  { name: "Trunk", width: "minmax(4.5rem, 0.6fr)", cell: (call) => <Foreign text={call.trunk} /> },
  { name: "Tags", width: "minmax(12.5rem, 1.4fr)", cell: (call) => <Tags tags={call.tags} most={2} plain /> },
  { name: "First reason", width: "minmax(9rem, 2.2fr)", cell: (call) => <First call={call} /> },
  { name: "Action", width: "6.4rem", cell: (call) => <Done call={call} /> },
  {
    name: "Outcome",
    width: "5.8rem",
    cell: (call) => (call.outcome ? words(call.outcome) : <span class="dim">–</span>),
  },
  { name: "Talk", width: "3.8rem", num: true, cell: (call) => seconds(call.duration_s) },
  {
    name: "Label",
    width: "5rem",
    cell: (call) => call.label && <span class={`badge ${call.label}`}>{call.label}</span>,
  },
];

/** The first reason; what speaks for a call is no news. */
function First({ call }: { call: Call }): JSX.Element {
  const reason = call.reasons[0];
  return (
    <span class={reason && reason.contribution < 0 ? "dim" : ""} title={reason?.text}>
      {reason?.text}
    </span>
  );
}

function Done({ call }: { call: Call }): JSX.Element {
  if (call.would)
    return (
      <span class="dim" title="The policy observes only">
        would {call.would}
      </span>
    );
  return <span title={call.rule ?? undefined}>{call.action}</span>;
}

export function Calls({ query }: { query: Record<string, string> }): JSX.Element {
  const filters = chosen(query);
  const key = JSON.stringify(filters);
  const past = usePages<Call>("calls", { ...filters, limit: PAGE });
  const stored = past.data?.items ?? NONE;
  const { calls: streamed } = useLive();
  const [paused, setPaused] = useState<Call[] | null>(null);
  const stream = paused ?? streamed;
  const rows = useMemo(() => {
    // What streamed in has the latest outcome, and comes first where it was loaded as well.
    const all = new Map(
      [...stream.filter((call) => fits(call, filters)), ...stored].reverse().map((call) => [call.call, call]),
    );
    return [...all.values()].sort((a, b) => (a.ts < b.ts ? 1 : a.ts > b.ts ? -1 : 0));
  }, [stream, stream.length, stream[0], stored, key]);
  const waiting = past.loading && rows.length === 0;
  return (
    <>
      <Views filters={filters} />
      <FilterBar filters={filters} />
      {past.problem && <Trouble problem={past.problem} retry={past.reload} />}
      <section class="panel grow">
        <div class="row between bar">
          <span class="dim" role="status">
            {count(rows.length)} {past.data?.next ? "loaded, more below" : "in all"}
          </span>
          <button type="button" aria-pressed={paused !== null} onClick={() => setPaused(paused ? null : [...streamed])}>
            {paused ? "Go on" : "Hold still"}
          </button>
        </div>
        <VirtualTable
          label="Calls"
          rows={rows}
          columns={COLUMNS}
          keyOf={(call) => call.call}
          open={(call) => go(link(["calls", call.call]))}
          more={past.more ?? undefined}
          fresh={(call) => Date.now() - Date.parse(call.ts) < FRESH_MS}
          empty={
            waiting ? (
              <div class="body">
                <Skeleton lines={14} />
              </div>
            ) : (
              !past.problem && (
                <Empty title="No calls">
                  {Object.keys(filters).length
                    ? "None fits these filters. "
                    : "None is recorded yet; what comes in shows here by itself. "}
                  {Object.keys(filters).length > 0 && <a href={link(["calls"])}>Take the filters away</a>}
                </Empty>
              )
            )
          }
        />
      </section>
    </>
  );
}

const MORE: Field[] = ["callee", "fingerprint", "profile", "outcome", "label", "action", "min_score"];

function FilterBar({ filters }: { filters: Filters }): JSX.Element {
  const [wide, setWide] = useState(MORE.some((field) => filters[field]));
  const set = (field: Field, value: string): void => go(link(["calls"], { ...filters, [field]: value.trim() }), true);
  const text = (field: Field, label: string, short = false): JSX.Element => (
    <Text
      key={field}
      label={label}
      class={short ? "short" : ""}
      value={filters[field] ?? ""}
      search={field === "q"}
      done={(value) => set(field, value)}
    />
  );
  const pick = (field: Field, label: string, options: readonly (readonly [string, string])[]): JSX.Element => (
    <select
      key={field}
      aria-label={label}
      value={filters[field] ?? ""}
      onChange={(event) => set(field, event.currentTarget.value)}
    >
      <option value="">{label}</option>
      {options.map(([value, name]) => (
        <option key={value} value={value}>
          {name}
        </option>
      ))}
    </select>
  );
  const plain = (values: readonly string[]): [string, string][] => values.map((value) => [value, words(value)]);
  return (
    <form class="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      {text("q", "Number or Call-ID")}
      {pick("since", "Any time", [
        ["15m", "last 15 min"],
        ["1h", "last hour"],
        ["24h", "last 24 h"],
        ["7d", "last 7 days"],
        ["30d", "last 30 days"],
      ])}
      {pick(
        "level",
        "Any level",
        LEVELS.slice(1).map((level): [string, string] => [level, level === "critical" ? level : `${level} or above`]),
      )}
      {pick("tag", "Any tag", plain(TAGS))}
      {text("caller", "Caller")}
      {text("country", "From (GB)", true)}
      {text("trunk", "Trunk", true)}
      {wide && (
        <>
          {text("callee", "Callee")}
          {text("min_score", "Score from", true)}
          {pick("outcome", "Any outcome", plain(OUTCOMES))}
          {pick("action", "Any action", plain(ACTIONS))}
          {pick("label", "Any label", [...plain(["fraud", "genuine"]), ["none", "no label"]])}
          {text("fingerprint", "Fingerprint")}
          {text("profile", "Profile")}
        </>
      )}
      <button type="button" class="plain" aria-expanded={wide} onClick={() => setWide(!wide)}>
        {wide ? "Fewer filters" : "More filters"}
      </button>
      {Object.keys(filters).length > 0 && (
        <a class="button" href={link(["calls"])}>
          Clear
        </a>
      )}
    </form>
  );
}

interface View {
  name: string;
  filters: Filters;
}
const BUILT_IN: View[] = [
  { name: "All calls", filters: {} },
  { name: "High risk, last hour", filters: { since: "1h", level: "high" } },
  { name: "Withheld, again and again", filters: { since: "24h", tag: "repeat_withheld" } },
  { name: "High risk, no label yet", filters: { since: "24h", level: "high", label: "none" } },
  { name: "Labelled fraud", filters: { label: "fraud" } },
];

function Views({ filters }: { filters: Filters }): JSX.Element {
  const [own, setOwn] = useStored<View[]>("scorer.views", []);
  const [name, setName] = useState<string | null>(null);
  const same = (view: View): boolean =>
    JSON.stringify(chosen(view.filters as Record<string, string>)) === JSON.stringify(filters);
  const known = [...BUILT_IN, ...own].some(same);
  const save = (event: Event): void => {
    event.preventDefault();
    const given = name?.trim();
    if (!given) return;
    setOwn([...own.filter((view) => view.name !== given), { name: given, filters }]);
    setName(null);
    say(`Saved the view ${given} in this browser.`);
  };
  return (
    <div class="views" role="group" aria-label="Saved views">
      {BUILT_IN.map((view) => (
        <span class="view" key={view.name} data-on={same(view)}>
          <a href={link(["calls"], view.filters)}>{view.name}</a>
        </span>
      ))}
      {own.map((view) => (
        <span class="view" key={view.name} data-on={same(view)}>
          <a href={link(["calls"], view.filters)}>{view.name}</a>
          <button
            type="button"
            aria-label={`Delete the view ${view.name}`}
            onClick={() => setOwn(own.filter((each) => each !== view))}
          >
            ×
          </button>
        </span>
      ))}
      {name === null ? (
        !known && (
          <button type="button" class="plain" onClick={() => setName("")}>
            + Save this view
          </button>
        )
      ) : (
        <form class="row" onSubmit={save}>
          <input
            aria-label="Name of the view"
            placeholder="Name of the view"
            autofocus
            value={name}
            maxLength={40}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit">Save</button>
          <button type="button" class="plain" onClick={() => setName(null)}>
            Cancel
          </button>
        </form>
      )}
    </div>
  );
}

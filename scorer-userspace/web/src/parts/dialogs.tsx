// Dialogs that change something: labels, lists, cases.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../api/client";
import type { Call, ListName } from "../api/types";
import { doing } from "../lib/session";
import { Dialog, Foreign } from "./basics";
import { type Next, NextFields } from "./NextCall";

interface Closing {
  /** `changed` when something was. */
  close: (changed: boolean) => void;
}

const Buttons = ({
  text,
  close,
  danger = false,
  busy,
}: {
  text: string;
  close: () => void;
  danger?: boolean;
  busy: boolean;
}): JSX.Element => (
  <div class="row end">
    <button type="button" onClick={close}>
      Cancel
    </button>
    <button type="submit" class={danger ? "primary danger-fill" : "primary"} aria-disabled={busy}>
      {text}
    </button>
  </div>
);

/** Submits once, and closes when it went well. */
function useSubmit(
  close: (changed: boolean) => void,
): [boolean, (event: Event, what: () => Promise<unknown>, done: string) => void] {
  const [busy, setBusy] = useState(false);
  const submit = (event: Event, what: () => Promise<unknown>, done: string): void => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    void doing(what(), done).then((good) => (good ? close(true) : setBusy(false)));
  };
  return [busy, submit];
}

export function LabelDialog({ call, label, close }: { call: Call; label: "fraud" | "genuine" } & Closing): JSX.Element {
  const [note, setNote] = useState("");
  const [busy, submit] = useSubmit(close);
  const what = `Label as ${label}`;
  return (
    <Dialog title={what} close={() => close(false)}>
      <form
        onSubmit={(event) =>
          submit(
            event,
            () => send("POST", "labels", { call_id: call.call_id, label, ...(note && { note }) }),
            `Labelled as ${label}.`,
          )
        }
      >
        <p>
          The call of <Foreign text={call.caller} /> to <Foreign text={call.callee} />, score {call.score}. Labels teach
          the history within a second, and the next model. A later label takes the place of an earlier one.
        </p>
        <label class="field">
          <span>Note (may be left out)</span>
          <textarea
            rows={3}
            maxLength={1000}
            value={note}
            onInput={(event) => setNote(event.currentTarget.value)}
            autofocus
            placeholder="How do you know?"
          />
        </label>
        <Buttons text={what} close={() => close(false)} busy={busy} />
      </form>
    </Dialog>
  );
}

export const KINDS = ["number", "range", "source", "trunk", "fingerprint", "profile"] as const;

export function ListDialog({
  list,
  kind,
  value,
  close,
}: { list: ListName; kind?: string; value?: string } & Closing): JSX.Element {
  const [entry, setEntry] = useState({
    list,
    kind: kind ?? "number",
    value: value ?? "",
    reason: "",
    days: list === "deny" ? "90" : "",
  });
  const [busy, submit] = useSubmit(close);
  const set = (change: Partial<typeof entry>): void => setEntry({ ...entry, ...change });
  const post = (): Promise<unknown> => {
    const expires = entry.days ? new Date(Date.now() + Number(entry.days) * 86_400_000).toISOString() : null;
    return send("POST", "lists", {
      list: entry.list,
      kind: entry.kind,
      value: entry.value.trim(),
      reason: entry.reason,
      expires,
    });
  };
  return (
    <Dialog title={entry.list === "deny" ? "Deny" : "Allow"} close={() => close(false)}>
      <form
        onSubmit={(event) =>
          submit(event, post, `${entry.list === "deny" ? "Denied" : "Allowed"}: ${entry.value}. Live within a second.`)
        }
      >
        <div class="row">
          <label class="field">
            <span>List</span>
            <select value={entry.list} onChange={(event) => set({ list: event.currentTarget.value as ListName })}>
              <option value="deny">deny</option>
              <option value="allow">allow</option>
            </select>
          </label>
          <label class="field">
            <span>Kind</span>
            <select value={entry.kind} onChange={(event) => set({ kind: event.currentTarget.value })}>
              {KINDS.map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            <span>For</span>
            <select value={entry.days} onChange={(event) => set({ days: event.currentTarget.value })}>
              <option value="1">a day</option>
              <option value="7">a week</option>
              <option value="30">30 days</option>
              <option value="90">90 days</option>
              <option value="">ever</option>
            </select>
          </label>
        </div>
        <label class="field">
          <span>Value</span>
          <input
            required
            value={entry.value}
            maxLength={200}
            spellcheck={false}
            onInput={(event) => set({ value: event.currentTarget.value })}
          />
        </label>
        <label class="field">
          <span>Reason</span>
          <input
            required
            value={entry.reason}
            maxLength={300}
            placeholder="for those who read the list later"
            onInput={(event) => set({ reason: event.currentTarget.value })}
          />
        </label>
        <Buttons text={entry.list === "deny" ? "Deny" : "Allow"} close={() => close(false)} busy={busy} />
      </form>
    </Dialog>
  );
}

export function CaseDialog({ profile, close }: { profile?: string } & Closing): JSX.Element {
  const [name, setName] = useState("");
  const [method, setMethod] = useState("");
  const [next, setNext] = useState<Next>({ action: "policy", target: "" });
  const [busy, submit] = useSubmit(close);
  const post = (): Promise<unknown> =>
    send("POST", "cases", { name: name.trim(), method, next_call: next, profiles: profile ? [profile] : [] });
  return (
    <Dialog title="Open a case" close={() => close(false)}>
      <form onSubmit={(event) => submit(event, post, `The case ${name} is open.`)}>
        {profile && (
          <p>
            With the profile <span class="mono">{profile}</span>.
          </p>
        )}
        <label class="field">
          <span>Name</span>
          <input
            required
            pattern="[A-Za-z0-9][A-Za-z0-9_.\-]*"
            maxLength={64}
            value={name}
            autofocus
            placeholder="bank-3"
            title="letters, digits, - _ ."
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>Method</span>
          <textarea
            rows={3}
            maxLength={2000}
            value={method}
            placeholder="What do they do?"
            onInput={(event) => setMethod(event.currentTarget.value)}
          />
        </label>
        <NextFields next={next} onChange={setNext} />
        <Buttons text="Open the case" close={() => close(false)} busy={busy} />
      </form>
    </Dialog>
  );
}

// What is done at the next call of a tracked fraudster.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ACTIONS } from "../lib/filters";

export interface Next {
  /** An action, or `policy`. */
  action: string;
  /** Where a diverted call goes: USER@HOST, USER@ or HOST. */
  target: string;
}

export function NextFields({ next, onChange }: { next: Next; onChange: (next: Next) => void }): JSX.Element {
  return (
    <div class="row">
      <label class="field">
        <span>At the next call</span>
        <select value={next.action} onChange={(event) => onChange({ ...next, action: event.currentTarget.value })}>
          <option value="policy">as the policy says</option>
          {ACTIONS.map((action) => (
            <option key={action} value={action}>
              {action}
            </option>
          ))}
        </select>
      </label>
      {next.action === "divert" && (
        <label class="field">
          <span>Divert to</span>
          <input
            required
            value={next.target}
            placeholder="fraud-desk@192.0.2.9"
            maxLength={200}
            spellcheck={false}
            onInput={(event) => onChange({ ...next, target: event.currentTarget.value })}
          />
        </label>
      )}
    </div>
  );
}

/** The same of an open case; `onSet` is null for those who may not change it. */
export function NextCall({
  now,
  onSet,
}: {
  now: { action: string; target?: string } | null;
  onSet: ((next: Next) => void) | null;
}): JSX.Element {
  const before: Next = { action: now?.action ?? "policy", target: now?.target ?? "" };
  const [next, setNext] = useState(before);
  if (!onSet) return <span>At the next call: {before.action}</span>;
  const changed = next.action !== before.action || next.target !== before.target;
  return (
    <form
      class="row acts-below"
      onSubmit={(event) => {
        event.preventDefault();
        onSet(next.action === "divert" ? next : { ...next, target: "" });
      }}
    >
      <NextFields next={next} onChange={setNext} />
      {changed && (
        <button type="submit" class="primary">
          Set
        </button>
      )}
    </form>
  );
}

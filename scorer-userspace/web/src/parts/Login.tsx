// Asks for a token.

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { Mark } from "./nav";

export function Login({ wrong, enter }: { wrong: boolean; enter: (token: string) => void }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  return (
    <main class="login">
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault();
          const given = field.current?.value.trim();
          if (given) enter(given);
        }}
      >
        <div class="row">
          <span class="brand-mark">
            <Mark />
          </span>
          <strong>scorer</strong>
        </div>
        <label class="field">
          <span>Token</span>
          <input
            ref={field}
            type="password"
            name="token"
            autocomplete="off"
            spellcheck={false}
            autofocus
            required
            aria-invalid={wrong}
          />
        </label>
        {wrong && (
          <div class="state problem" role="alert">
            <strong>The token was not accepted.</strong>
            <p>It is wrong, revoked, or of another scorer.</p>
          </div>
        )}
        <p class="dim">
          It is kept until this tab is closed, and sent to this scorer only. An administrator makes one on the host;
          docs/dashboard.md says how.
        </p>
        <button type="submit" class="primary">
          Open
        </button>
      </form>
    </main>
  );
}

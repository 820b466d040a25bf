// Who is asking, and what they may do; messages at the edge of the screen.

import { createContext, type ComponentChildren, type JSX } from "preact";
import { useContext, useEffect, useReducer } from "preact/hooks";
import { Problem } from "../api/client";
import type { Me, Role } from "../api/types";

const RANK: Record<Role, number> = { viewer: 0, analyst: 1, admin: 2 };

export const Session = createContext<Me>({ name: "", role: "viewer", masked: true });
export const useMe = (): Me => useContext(Session);
export const may = (me: Me, role: Role): boolean => RANK[me.role] >= RANK[role];

/** A button for those with a role. For others it is dimmed and says why, when pointed at or pressed. */
export function Act(props: {
  need?: Role;
  why?: string | false | null;
  onClick: () => void;
  class?: string;
  title?: string;
  type?: "button" | "submit";
  children: ComponentChildren;
}): JSX.Element {
  const me = useMe();
  const need = props.need ?? "analyst";
  const why = may(me, need) ? props.why || null : `Needs the role ${need}; you are ${me.role}.`;
  return (
    <button
      type={why ? "button" : (props.type ?? "button")}
      class={props.class}
      aria-disabled={Boolean(why)}
      title={why ?? props.title}
      onClick={() => (why ? say(why, true) : props.onClick())}
    >
      {props.children}
    </button>
  );
}

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}
let toasts: Toast[] = [];
let next = 1;
const told = new Set<() => void>();

/** Shows a message for some seconds. */
export function say(text: string, bad = false): void {
  const id = next++;
  const set = (list: Toast[]): void => {
    toasts = list;
    for (const then of told) then();
  };
  set([...toasts.filter((toast) => toast.text !== text), { id, text, bad }]);
  setTimeout(() => set(toasts.filter((toast) => toast.id !== id)), bad ? 9000 : 4000);
}

/** Does it, and says how it went. */
export async function doing(what: Promise<unknown>, done: string): Promise<boolean> {
  try {
    await what;
    say(done);
    return true;
  } catch (error) {
    say(error instanceof Problem ? `${error.title}. ${error.detail}` : String(error), true);
    return false;
  }
}

export function Toasts(): JSX.Element {
  const [, again] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const then = (): void => again(undefined as never);
    told.add(then);
    return () => {
      told.delete(then);
    };
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map((toast) => (
        <div key={toast.id} class={toast.bad ? "toast bad" : "toast"}>
          {toast.text}
        </div>
      ))}
    </div>
  );
}

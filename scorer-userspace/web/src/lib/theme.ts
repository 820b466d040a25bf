// Light, dark, or as the system says; colours for canvases.

import { useEffect, useState } from "preact/hooks";

export type Theme = "auto" | "light" | "dark";
const KEY = "scorer.theme";
const told = new Set<() => void>();

export function theme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function setTheme(next: Theme): void {
  localStorage.setItem(KEY, next);
  apply();
}

export function apply(): void {
  const chosen = theme();
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  for (const then of told) then();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);

export const isDark = (): boolean =>
  theme() === "dark" || (theme() === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);

/** Draws again when the theme changes; a key for what must be made anew. */
export function useTheme(): string {
  const key = (): string => `${theme()}:${isDark()}`;
  const [now, setNow] = useState(key);
  useEffect(() => {
    const changed = (): void => setNow(key());
    told.add(changed);
    return () => {
      told.delete(changed);
    };
  }, []);
  return now;
}

let probe: HTMLElement | null = null;

/** What a token such as `--line` is now, for where CSS does not reach. */
export function colour(token: string): string {
  probe ??= document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  probe.style.color = `var(${token})`;
  return getComputedStyle(probe).color;
}

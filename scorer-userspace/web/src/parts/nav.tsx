// The pages there are.

import type { JSX } from "preact";

export interface PageInfo {
  path: string;
  name: string;
  /** Behind g. */
  key: string;
  icon: JSX.Element;
}

const icon = (d: string): JSX.Element => (
  <svg
    viewBox="0 0 20 20"
    fill="none"
    stroke="currentColor"
    stroke-width="1.6"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
  >
    <path d={d} />
  </svg>
);

export const PAGES: readonly PageInfo[] = [
  { path: "overview", name: "Overview", key: "o", icon: icon("M3 11l3-4 4 3 4-6 3 3M3 17h14") },
  { path: "calls", name: "Calls", key: "c", icon: icon("M3 5h14M3 10h14M3 15h9") },
  { path: "investigate", name: "Investigate", key: "i", icon: icon("M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4zM13 13l4 4") },
  { path: "trends", name: "Trends", key: "r", icon: icon("M4 16V9M8 16V5M12 16v-5M16 16V3") },
  { path: "lists", name: "Lists", key: "l", icon: icon("M7 5h10M7 10h10M7 15h10M3 5h.01M3 10h.01M3 15h.01") },
  { path: "policy", name: "Policy", key: "p", icon: icon("M10 3l6 2v5c0 4-3 6-6 7-3-1-6-3-6-7V5zM7.5 10l2 2 3-4") },
  {
    path: "consortium",
    name: "Consortium",
    key: "m",
    icon: icon("M10 3v4M10 7l-5 5M10 7l5 5M5 15a2 2 0 1 0 0-4M15 15a2 2 0 1 1 0-4M7 13h6"),
  },
  { path: "system", name: "System", key: "s", icon: icon("M4 4h12v5H4zM4 11h12v5H4zM7 6.500h.01M7 13.500h.01") },
];

export const Mark = (): JSX.Element => (
  <svg viewBox="0 0 32 32" aria-hidden="true" stroke-width="4" stroke-linecap="round">
    <path d="M6 26v-4" stroke="var(--low)" />
    <path d="M13 26V16" stroke="var(--medium)" />
    <path d="M20 26V11" stroke="var(--high)" />
    <path d="M27 26V6" stroke="var(--critical)" />
  </svg>
);

// What narrows the table of calls; the names are those of GET /v1/calls.

import type { Call } from "../api/types";
import { LEVELS } from "./format";

export const FIELDS = [
  "since",
  "until",
  "level",
  "min_score",
  "tag",
  "caller",
  "callee",
  "trunk",
  "country",
  "fingerprint",
  "profile",
  "outcome",
  "label",
  "action",
  "q",
] as const;
export type Field = (typeof FIELDS)[number];
export type Filters = Partial<Record<Field, string>>;

export const TAGS = [
  "spoofed",
  "withheld",
  "repeat",
  "repeat_withheld",
  "voip",
  "international",
  "high_cost",
  "neighbour",
  "unallocated",
  "do_not_originate",
  "scanner",
  "robocall",
  "wangiri",
  "tdos",
  "irsf",
  "known_bad",
  "consortium",
  "linked",
  "attested",
  "unattested",
  "bad_signature",
  "allowlisted",
  "denylisted",
  "emergency",
];
export const OUTCOMES = [
  "answered",
  "completed",
  "short",
  "cancelled",
  "no_answer",
  "challenged",
  "redirected",
  "rejected",
];
export const ACTIONS = ["pass", "tag", "divert", "reject", "drop"];

export function chosen(query: Record<string, string>): Filters {
  return Object.fromEntries(FIELDS.flatMap((field) => (query[field] ? [[field, query[field]]] : [])));
}

/** Whether a call that streams in belongs to the table. Numbers are compared as the server gives them. */
export function fits(call: Call, filters: Filters): boolean {
  const { level, min_score, tag, caller, callee, trunk, country, fingerprint, profile, outcome, label, action, q } =
    filters;
  if (filters.until) return false;
  if (level && LEVELS.indexOf(call.level) < LEVELS.indexOf(level as Call["level"])) return false;
  if (min_score && call.score < Number(min_score)) return false;
  if (tag && !call.tags.includes(tag)) return false;
  if (caller && ![call.caller, call.network_number].some((number) => same(number, caller))) return false;
  if (callee && !same(call.callee, callee)) return false;
  if (trunk && call.trunk !== trunk) return false;
  if (country && call.caller_country !== country.toUpperCase()) return false;
  if (fingerprint && call.fingerprint !== fingerprint) return false;
  if (profile && call.profile !== profile) return false;
  if (outcome && call.outcome !== outcome) return false;
  if (label && (call.label ?? "none") !== label) return false;
  if (action && call.action !== action) return false;
  return (
    !q ||
    [call.call_id, call.caller, call.callee, call.network_number].some((text) =>
      text?.toLowerCase().includes(q.toLowerCase()),
    )
  );
}

/** A number as it may be written, 01632… for +441632…; the server knows better, of what is stored. */
function same(number: string | null, sought: string): boolean {
  const [a = "", b = ""] = [number, sought].map((text) => text?.replace(/\D/g, "").replace(/^0+/, ""));
  return number === sought || (b.length >= 7 && a.endsWith(b));
}

// How things are written.

import type { Level } from "../api/types";

export const LEVELS: readonly Level[] = ["low", "medium", "high", "critical"];

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345. */
export const count = (n: number | null | undefined): string => (n == null ? "–" : whole.format(n));
/** 12.3K where the digits do not matter. */
export const brief = (n: number): string => (n < 10_000 ? whole.format(n) : compact.format(n));
export const percent = (part: number, of: number, digits = 1): string =>
  of > 0 ? `${((100 * part) / of).toFixed(digits)} %` : "–";

/** A number of any size, with three figures or so. */
export function figure(n: number | null | undefined): string {
  if (n == null || !Number.isFinite(n)) return "–";
  if (n === 0 || (Number.isInteger(n) && Math.abs(n) < 1e6)) return String(n);
  const size = Math.abs(n);
  if (size >= 1e6 || size < 1e-3) return n.toExponential(1);
  return n.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (n >= 1000 && at < units.length - 1) [n, at] = [n / 1000, at + 1];
  return `${n.toFixed(at && n < 10 ? 1 : 0)} ${units[at]}`;
}

/** Nanoseconds in the unit that fits. */
export function latency(ns: number | null): string {
  if (ns == null) return "–";
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(ns < 1e5 ? 1 : 0)} µs`;
  return `${(ns / 1e6).toFixed(1)} ms`;
}

export function seconds(s: number | null): string {
  if (s == null) return "–";
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  return minutes < 60 ? `${minutes}:${pad(Math.round(s % 60))}` : `${Math.floor(minutes / 60)} h ${pad(minutes % 60)}`;
}

const pad = (n: number): string => String(n).padStart(2, "0");

/** 14:03:07 of today, 24 Nov 14:03 of another day; local time. */
export function time(ts: string, withDate = false): string {
  const at = new Date(ts);
  if (Number.isNaN(at.getTime())) return ts;
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  if (!withDate && at.toDateString() === new Date().toDateString()) return clock;
  return `${day(ts)} ${clock.slice(0, withDate ? 8 : 5)}`;
}

export function day(ts: string): string {
  return new Date(ts).toLocaleDateString("en-GB", { day: "2-digit", month: "short" });
}

export const clockMs = (ts: string): string =>
  `${time(ts, true)}.${String(new Date(ts).getMilliseconds()).padStart(3, "0")}`;

/** 3 min ago. */
export function ago(ts: string, now = Date.now()): string {
  const s = Math.max(0, (now - new Date(ts).getTime()) / 1000);
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86_400)} d ago`;
}

/** snake_case as words. */
export const words = (name: string): string => name.replaceAll("_", " ");

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

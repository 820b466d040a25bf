// Loading, the stream, the size of an element, keys.

import { useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { get, Problem } from "../api/client";
import { live } from "../api/stream";
import type { Page } from "../api/types";

/** What went wrong, as it is shown. */
function problemOf(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, "The answer was not understood", String(error));
}

export interface Loaded<T> {
  data: T | null;
  problem: Problem | null;
  loading: boolean;
  reload: () => void;
}

/** Loads when `keys` change, and every `everyMs`. What was loaded stays while the same is loaded again. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, keys: unknown[], everyMs = 0): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, "reload">>({ data: null, problem: null, loading: true });
  const [turn, again] = useReducer((n: number) => n + 1, 0);
  const key = JSON.stringify(keys);
  const before = useRef(key);
  useEffect(() => {
    const stop = new AbortController();
    const same = before.current === key;
    before.current = key;
    setState((old) => ({ data: same ? old.data : null, problem: same ? old.problem : null, loading: true }));
    let timer = 0;
    // From the answer on, so that slow answers do not pile up; not while nobody looks.
    const rest = (): void => {
      if (everyMs) timer = window.setTimeout(() => (document.hidden ? rest() : again(undefined as never)), everyMs);
    };
    load(stop.signal).then(
      (data) => {
        if (stop.signal.aborted) return;
        setState({ data, problem: null, loading: false });
        rest();
      },
      (error: unknown) => {
        if (stop.signal.aborted) return;
        const problem = problemOf(error);
        setState((old) => ({ data: old.data, problem, loading: false }));
        rest();
      },
    );
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, turn]);
  const reload = useCallback(() => again(undefined as never), []);
  return { ...state, reload };
}

export interface Paged<T> extends Loaded<Page<T>> {
  /** Loads the next page; null where there is none, or one is on its way. */
  more: (() => void) | null;
}

/** What comes in pages: the first, and those behind it as they are asked for. */
export function usePages<T>(path: string, params: Record<string, string | number | undefined>): Paged<T> {
  const [state, setState] = useState<Omit<Loaded<Page<T>>, "reload">>({ data: null, problem: null, loading: true });
  const [turn, again] = useReducer((n: number) => n + 1, 0);
  const key = JSON.stringify([path, params]);
  const now = useRef<AbortController | undefined>(undefined);
  const load = useCallback(
    async (cursor: string | null): Promise<void> => {
      const { signal } = now.current ?? new AbortController();
      setState((old) => ({ ...old, loading: true }));
      try {
        let page = await get<Page<T>>(path, { ...params, cursor }, signal);
        // A page may be empty though there are more: the server looked long enough.
        while (!page.items.length && page.next)
          page = await get<Page<T>>(path, { ...params, cursor: page.next }, signal);
        if (signal.aborted) return;
        setState(({ data }) => ({
          data: { items: cursor && data ? [...data.items, ...page.items] : page.items, next: page.next },
          problem: null,
          loading: false,
        }));
      } catch (error) {
        if (signal.aborted) return;
        const problem = problemOf(error);
        setState((old) => ({ ...old, problem, loading: false }));
      }
    },
    [key],
  );
  const before = useRef("");
  useEffect(() => {
    now.current = new AbortController();
    // What was loaded stays while the same is loaded again.
    if (before.current !== key) setState({ data: null, problem: null, loading: true });
    before.current = key;
    void load(null);
    return () => now.current?.abort();
  }, [key, turn]);
  const reload = useCallback(() => again(undefined as never), []);
  const next = state.loading ? null : (state.data?.next ?? null);
  return { ...state, reload, more: next === null ? null : () => void load(next) };
}

/** Draws again when something streams in. */
export function useLive(): typeof live {
  const [, again] = useReducer((n: number) => n + 1, 0);
  useEffect(() => live.subscribe(() => again(undefined as never)), []);
  return live;
}

/** Width and height of an element, in CSS pixels. */
export function useSize<E extends HTMLElement>(): [{ current: E | null }, number, number] {
  const ref = useRef<E>(null);
  const [size, setSize] = useState<[number, number]>([0, 0]);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize([element.clientWidth, element.clientHeight]));
    observer.observe(element);
    setSize([element.clientWidth, element.clientHeight]);
    return () => observer.disconnect();
  }, []);
  return [ref, ...size];
}

/** A value kept in localStorage, as JSON. */
export function useStored<T>(key: string, first: T): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => stored(key, first));
  const keep = (next: T): void => {
    setValue(next);
    localStorage.setItem(key, JSON.stringify(next));
  };
  return [value, keep];
}

function stored<T>(key: string, first: T): T {
  try {
    const text = localStorage.getItem(key);
    return text === null ? first : (JSON.parse(text) as T);
  } catch {
    return first;
  }
}

// Small parts that every page uses.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Problem } from "../api/client";
import type { Level } from "../api/types";
import type { Loaded, Paged } from "../lib/hooks";
import { LEVELS } from "../lib/format";
import { link } from "../lib/router";

type Children = { children?: ComponentChildren };

export function Panel(
  props: Children & {
    title?: ComponentChildren;
    tools?: ComponentChildren;
    class?: string;
    flush?: boolean;
    id?: string;
  },
): JSX.Element {
  return (
    <section class={`panel ${props.class ?? ""}`} id={props.id}>
      {props.title && (
        <header>
          <h2>{props.title}</h2>
          <div class="tools">{props.tools}</div>
        </header>
      )}
      <div class={props.flush ? "body flush" : "body"}>{props.children}</div>
    </section>
  );
}

export function Skeleton({ lines = 4 }: { lines?: number }): JSX.Element {
  return (
    <div class="skeleton" role="status" aria-label="loading">
      {Array.from({ length: lines }, (_, i) => (
        <i key={i} style={{ width: `${92 - ((i * 37) % 45)}%` }} />
      ))}
    </div>
  );
}

export function Empty({ title, children }: Children & { title: string }): JSX.Element {
  return (
    <div class="state empty">
      <strong>{title}</strong>
      <span>{children}</span>
    </div>
  );
}

/** What the server said was wrong. */
export function Trouble({ problem, retry }: { problem: Problem; retry?: () => void }): JSX.Element {
  return (
    <div class="state problem" role="alert">
      <strong>
        {problem.title} {problem.status > 0 && <span class="dim">({problem.status})</span>}
      </strong>
      {problem.detail && <p>{problem.detail}</p>}
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Loading, the problem, the empty state or what was loaded. */
export function Show<T>(props: {
  of: Loaded<T>;
  lines?: number;
  empty?: (data: T) => boolean;
  emptyTitle?: string;
  emptyText?: ComponentChildren;
  children: (data: T) => ComponentChildren;
}): JSX.Element {
  const { data, problem, reload } = props.of;
  if (data === null)
    return problem ? <Trouble problem={problem} retry={reload} /> : <Skeleton lines={props.lines ?? 4} />;
  return (
    <>
      {problem && <Trouble problem={problem} retry={reload} />}
      {props.empty?.(data) ? (
        <Empty title={props.emptyTitle ?? "Nothing here"}>{props.emptyText}</Empty>
      ) : (
        props.children(data)
      )}
    </>
  );
}

/** One to four bars, as many as the level is high: told apart without colour. */
export function LevelMark({ level, word = true }: { level: Level; word?: boolean }): JSX.Element {
  const rank = LEVELS.indexOf(level);
  return (
    <span class={`level l-${LEVELS.includes(level) ? level : "low"}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        {LEVELS.map((_, i) => (
          <rect
            key={i}
            x={i * 4}
            y={12 - i * 4}
            width="3"
            height={4 + i * 4}
            rx="0.6"
            fill={i <= rank ? "var(--c)" : "var(--line)"}
          />
        ))}
      </svg>
      {word ? level : <span class="hidden">{level}</span>}
    </span>
  );
}

export function Score({ score, level }: { score: number; level: Level }): JSX.Element {
  return (
    <span class={`score l-${level}`}>
      <b>{score}</b>
      <LevelMark level={level} word={false} />
    </span>
  );
}

export function Tags({
  tags,
  most = 99,
  plain = false,
}: {
  tags: string[];
  most?: number;
  plain?: boolean;
}): JSX.Element {
  const rest = tags.slice(most);
  return (
    <span class="tags">
      {tags.slice(0, most).map((tag) =>
        plain ? (
          <span key={tag} class="tag">
            {tag}
          </span>
        ) : (
          <a key={tag} class="tag" href={link(["calls"], { tag })}>
            {tag}
          </a>
        ),
      )}
      {rest.length > 0 && (
        <span class="tag" title={rest.join(", ")}>
          +{rest.length}
        </span>
      )}
    </span>
  );
}

/** A choice of few. */
export function Segments<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}): JSX.Element {
  return (
    <span class="segments" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.onChange(value)}>
          {text}
        </button>
      ))}
    </span>
  );
}

/** A text that counts when it is finished: on Enter, or when the field is left. Meanwhile the page may be drawn again. */
export function Text(props: {
  label: string;
  value: string;
  done: (value: string) => void;
  class?: string;
  search?: boolean | undefined;
}): JSX.Element {
  const [draft, setDraft] = useState(props.value);
  useEffect(() => setDraft(props.value), [props.value]);
  return (
    <input
      aria-label={props.label}
      placeholder={props.label}
      class={props.class}
      value={draft}
      maxLength={200}
      spellcheck={false}
      data-search={props.search || undefined}
      onInput={(event) => setDraft(event.currentTarget.value)}
      onChange={(event) => props.done(event.currentTarget.value.trim())}
    />
  );
}

/** A dialog that keeps the focus while it is open; Escape closes it. */
export function Dialog(props: Children & { title: string; close: () => void; wide?: boolean }): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    ref.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={props.wide ? "wide" : ""}
      onClose={props.close}
      onCancel={props.close}
      aria-label={props.title}
    >
      <h2>{props.title}</h2>
      {props.children}
    </dialog>
  );
}

/** A part that scrolls by itself, also by keys. */
export function Scroll({
  label,
  class: extra = "",
  of,
  children,
}: Children & { label: string; class?: string; of?: Paged<unknown> }): JSX.Element {
  return (
    <div class={`lists ${extra}`} tabIndex={0} role="region" aria-label={label}>
      {children}
      {of?.data?.next && (
        <div class="row end body">
          <span class="dim">There are more.</span>
          <button type="button" disabled={!of.more} onClick={() => of.more?.()}>
            {of.more ? "Load more" : "Loading…"}
          </button>
        </div>
      )}
    </div>
  );
}

export function Facts({ of }: { of: (readonly [string, ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {of.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}:`}>{value ?? "–"}</dd>])}
    </dl>
  );
}

/** Text from the network: kept from turning the text around it (bidirectional overrides). */
export function Foreign({ text, mono = false }: { text: string | null | undefined; mono?: boolean }): JSX.Element {
  if (text == null || text === "") return <span class="dim">–</span>;
  return (
    <bdi class={mono ? "mono" : ""} title={text}>
      {printable(text)}
    </bdi>
  );
}

/** Control and direction characters shown as their codes. */
export const printable = (text: string): string =>
  text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (c) => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`,
  );

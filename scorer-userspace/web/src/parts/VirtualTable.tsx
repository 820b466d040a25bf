// Rows of which only those in sight are drawn; for tens of thousands.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useSize } from "../lib/hooks";

export interface Column<T> {
  name: string;
  /** A track of a CSS grid. */
  width: string;
  num?: boolean;
  cell: (row: T) => ComponentChildren;
}

interface Props<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  keyOf: (row: T) => string;
  open: (row: T) => void;
  /** Asked for when the end comes into sight. */
  more?: (() => void) | undefined;
  fresh?: (row: T) => boolean;
  empty: ComponentChildren;
}

/** Rows drawn beyond what is in sight. */
const SPARE = 8;

export function VirtualTable<T>({ label, rows, columns, keyOf, open, more, fresh, empty }: Props<T>): JSX.Element {
  const [body, , height] = useSize<HTMLDivElement>();
  const [top, setTop] = useState(0);
  const [chosen, setChosen] = useState<string | null>(null);
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const row = 1.9 * rem;
  const first = Math.max(0, Math.floor(top / row) - SPARE);
  const last = Math.min(rows.length, Math.ceil((top + height) / row) + SPARE);
  const at = chosen === null ? -1 : rows.findIndex((each) => keyOf(each) === chosen);
  const template = { gridTemplateColumns: columns.map((column) => column.width).join(" ") };

  const asked = useRef(-1);
  useEffect(() => {
    if (more && height > 0 && last >= rows.length - SPARE && asked.current !== rows.length) {
      asked.current = rows.length;
      more();
    }
  }, [last, rows.length, more, height]);

  // While somebody reads further down, new rows above must not push theirs away.
  const anchor = useRef<{ key: string; index: number } | null>(null);
  useEffect(() => {
    const element = body.current;
    const held = anchor.current;
    if (element && held && element.scrollTop > row) {
      const now = rows.findIndex((each) => keyOf(each) === held.key);
      if (now > held.index) element.scrollTop += (now - held.index) * row;
    }
    const index = Math.floor((element?.scrollTop ?? 0) / row);
    const seen = rows[index];
    anchor.current = seen ? { key: keyOf(seen), index } : null;
  }, [rows]);

  const choose = (index: number): void => {
    const to = rows[Math.max(0, Math.min(rows.length - 1, index))];
    const element = body.current;
    if (!to || !element) return;
    setChosen(keyOf(to));
    const y = rows.indexOf(to) * row;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + row > element.scrollTop + height) element.scrollTop = y + row - height;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(height / row) - 1);
    const steps: Record<string, number> = {
      ArrowDown: 1,
      j: 1,
      ArrowUp: -1,
      k: -1,
      PageDown: page,
      PageUp: -page,
      Home: -rows.length,
      End: rows.length,
    };
    const step = steps[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step !== undefined) choose(at < 0 ? (step < 0 ? 0 : step === 1 ? 0 : step) : at + step);
    else if (event.key === "Enter" && event.target === event.currentTarget && rows[at]) open(rows[at]);
    else return;
    event.preventDefault();
  };

  // A grid without rows is none.
  const some = rows.length > 0;
  return (
    <div class="vtable" {...(some && { role: "grid", "aria-label": label, "aria-rowcount": rows.length })}>
      <div class="vhead" role={some ? "row" : undefined} style={template}>
        {columns.map((column) => (
          <span key={column.name} role={some ? "columnheader" : undefined} class={column.num ? "num" : ""}>
            {column.name}
          </span>
        ))}
      </div>
      <div
        class="vbody"
        ref={body}
        tabIndex={0}
        role={some ? "rowgroup" : "region"}
        aria-label={`${label}: arrow keys choose, Enter opens`}
        aria-activedescendant={at >= 0 ? `row-${chosen}` : undefined}
        onKeyDown={onKeyDown}
        onFocus={() => at < 0 && rows[0] && setChosen(keyOf(rows[Math.floor(top / row)] ?? rows[0]))}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        {!some && empty}
        <div style={{ height: `${rows.length * row}px` }} role="presentation">
          {rows.slice(first, last).map((each, i) => {
            const key = keyOf(each);
            return (
              <div
                key={key}
                id={`row-${key}`}
                role="row"
                class={fresh?.(each) ? "vrow fresh" : "vrow"}
                aria-rowindex={first + i + 1}
                aria-selected={key === chosen}
                style={{ ...template, top: `${(first + i) * row}px` }}
                onClick={(event) => {
                  if ((event.target as Element).closest("a")) return;
                  setChosen(key);
                  open(each);
                }}
              >
                {columns.map((column) => (
                  <span key={column.name} role="gridcell" class={column.num ? "num" : ""}>
                    {column.cell(each)}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

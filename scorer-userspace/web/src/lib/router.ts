// The page is what stands behind the # of the address: `#/calls/1f2e?level=high`.

import { useEffect, useState } from "preact/hooks";

export interface Place {
  /** Decoded parts of the path. */
  path: string[];
  query: Record<string, string>;
}

export function read(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a place; only ever one within this page. */
export function link(path: string[], query: Record<string, string | null | undefined> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(address: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = address;
}

export function usePlace(): Place {
  const [place, setPlace] = useState(() => read(location.hash));
  useEffect(() => {
    const changed = (): void => setPlace(read(location.hash));
    addEventListener("hashchange", changed);
    // It may have changed since it was read.
    changed();
    return () => removeEventListener("hashchange", changed);
  }, []);
  return place;
}

// The frame around all pages: who asks, where one can go, keys.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, onRefused, type Problem, token } from "./api/client";
import { live } from "./api/stream";
import type { Me } from "./api/types";
import { useLive, useLoad } from "./lib/hooks";
import { go, link, usePlace } from "./lib/router";
import { Session, Toasts } from "./lib/session";
import { isDark, setTheme, useTheme } from "./lib/theme";
import { Dialog, Trouble } from "./parts/basics";
import { Login } from "./parts/Login";
import { Mark, PAGES, type PageInfo } from "./parts/nav";
import { CallPage } from "./pages/Call";
import { Calls } from "./pages/Calls";
import { CasePage } from "./pages/Cases";
import { Consortium } from "./pages/Consortium";
import { Investigate } from "./pages/Investigate";
import { Lists } from "./pages/Lists";
import { Overview } from "./pages/Overview";
import { Policy } from "./pages/Policy";
import { Profile } from "./pages/Profile";
import { System } from "./pages/System";
import { Trends } from "./pages/Trends";

export function App(): JSX.Element {
  const [refused, setRefused] = useState(false);
  const me = useLoad<Me>((signal) => get("me", {}, signal), [refused]);
  useEffect(() => onRefused(() => setRefused(true)), []);
  const known = me.data !== null && !refused;
  useEffect(() => {
    if (known) live.start();
    return () => live.end();
  }, [known]);

  if (refused) {
    const enter = (given: string): void => {
      token.set(given);
      setRefused(false);
    };
    return <Login wrong={token.get() !== null} enter={enter} />;
  }
  if (!me.data) return <main class="login">{me.problem && <Trouble problem={me.problem} retry={me.reload} />}</main>;
  return (
    <Session.Provider value={me.data}>
      <Shell me={me.data} leave={() => (token.clear(), setRefused(true))} />
      <Toasts />
    </Session.Provider>
  );
}

function Shell({ me, leave }: { me: Me; leave: () => void }): JSX.Element {
  const place = usePlace();
  const [help, setHelp] = useState(false);
  const [name = "overview", ...rest] = place.path;
  const page = PAGES.find((each) => each.path === name);
  const theme = useTheme();
  useKeys(() => setHelp((open) => !open));
  useEffect(() => {
    document.title = `${page?.name ?? "Not found"} – scorer`;
  }, [page]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}
      >
        To the content
      </a>
      <div class="shell">
        <div class="brand">
          <Mark />
          <span>scorer</span>
        </div>
        <header class="top">
          <h1>
            {page && rest.length ? <a href={link([page.path])}>{page.name}</a> : (page?.name ?? "Not found")}
            {rest.map((each) => (
              <span key={each} class="crumb">
                {" / "}
                {each.length > 36 ? `${each.slice(0, 36)}…` : each}
              </span>
            ))}
          </h1>
          <span class="push" />
          <Status />
          <span class="badge" title={me.masked ? "Numbers are masked" : "Numbers are shown in full"}>
            {me.name} · {me.role}
            {me.masked && " · masked"}
          </span>
          <span class="row">
            <button
              type="button"
              class="plain"
              onClick={() => setTheme(isDark() ? "light" : "dark")}
              title="Light or dark (t)"
              key={theme}
            >
              {isDark() ? "Light" : "Dark"}
            </button>
            <button type="button" class="plain" onClick={() => setHelp(true)} title="Keys (?)">
              Keys <kbd>?</kbd>
            </button>
            {token.get() && (
              <button type="button" class="plain" onClick={leave} title="Forget the token">
                Sign out
              </button>
            )}
          </span>
        </header>
        <nav class="nav" aria-label="Pages">
          {PAGES.map((each) => (
            <a
              key={each.path}
              href={link([each.path])}
              aria-current={each === page ? "page" : undefined}
              title={`${each.name} (g ${each.key})`}
            >
              {each.icon}
              <span>{each.name}</span>
            </a>
          ))}
        </nav>
        <main class={name === "calls" && !rest.length ? "main full" : "main"} id="main" tabIndex={-1}>
          <Content name={name} rest={rest} query={place.query} />
        </main>
      </div>
      {help && <Help close={() => setHelp(false)} />}
    </>
  );
}

function Content({ name, rest, query }: { name: string; rest: string[]; query: Record<string, string> }): JSX.Element {
  const [key] = rest;
  switch (name) {
    case "overview":
      return <Overview query={query} />;
    case "calls":
      return key ? <CallPage key={key} id={key} /> : <Calls query={query} />;
    case "investigate":
      if (key === "case" && rest[1]) return <CasePage key={rest[1]} name={rest[1]} />;
      return key ? <Profile key={key} id={key} /> : <Investigate query={query} />;
    case "trends":
      return <Trends query={query} />;
    case "lists":
      return <Lists query={query} />;
    case "policy":
      return <Policy />;
    case "consortium":
      return <Consortium />;
    case "system":
      return <System />;
    default:
      return <Trouble problem={{ title: "There is no such page", detail: `#/${name}`, status: 404 } as Problem} />;
  }
}

function Status(): JSX.Element {
  const { state, problem, lost } = useLive();
  const text = {
    live: "live",
    connecting: "connecting",
    stored: "recorded calls only",
    down: problem?.title ?? "no live data",
  }[state];
  return (
    <span class="status" role="status" title={problem?.detail}>
      <i class={`dot ${state}`} />
      {text}
      {lost > 0 && <span class="badge warn">{lost} not shown</span>}
    </span>
  );
}

const typing = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;

/** g and a letter goes to a page; the others are below, in Help. */
function useKeys(help: () => void): void {
  useEffect(() => {
    let goes = 0;
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (event.key === "Escape" && typing(event.target)) return (event.target as HTMLElement).blur();
      if (typing(event.target) || document.querySelector("dialog[open]")) return;
      const to = PAGES.find((each: PageInfo) => each.key === event.key);
      if (Date.now() - goes < 1500 && to) go(link([to.path]));
      else if (event.key === "?") help();
      else if (event.key === "t") setTheme(isDark() ? "light" : "dark");
      else if (event.key === "w") document.documentElement.classList.toggle("wall");
      else if (event.key === "/") document.querySelector<HTMLElement>("[data-search]")?.focus();
      else if (event.key === "Backspace") history.back();
      else {
        goes = event.key === "g" ? Date.now() : 0;
        return;
      }
      goes = 0;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function Help({ close }: { close: () => void }): JSX.Element {
  const keys: [string, string][] = [
    ...PAGES.map((page): [string, string] => [`g ${page.key}`, page.name]),
    ["/", "Search, or the first filter"],
    ["↑ ↓ or k j", "Choose a row; PgUp, PgDn, Home, End go further"],
    ["Enter", "Open the row"],
    ["f, n", "On a call: label it fraud, genuine"],
    ["Backspace", "Back"],
    ["t", "Light or dark"],
    ["w", "Wall display: only the content, larger"],
    ["Esc", "Close, leave a field"],
    ["?", "This list"],
  ];
  return (
    <Dialog title="Keys" close={close}>
      <div class="keys">
        {keys.map(([key, what]) => [
          <span key={key}>
            <kbd>{key}</kbd>
          </span>,
          <span key={what}>{what}</span>,
        ])}
      </div>
      <div class="row end">
        <button type="button" class="primary" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

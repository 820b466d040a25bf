// Server-sent events over fetch, since EventSource cannot send a token.

import type { Call, Rates, Update } from "./types";
import { Problem, request } from "./client";

export interface Event {
  name: string;
  data: string;
}

/** Cuts text into events (WHATWG HTML, 9.2.6). Feed it pieces as they come. */
export function parser(): (piece: string) => Event[] {
  let rest = "";
  let name = "";
  let data: string[] = [];
  return (piece) => {
    const events: Event[] = [];
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length) events.push({ name: name || "message", data: data.join("\n") });
        name = "";
        data = [];
      } else if (line.startsWith("event:")) name = line.slice(6).trimStart();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
    return events;
  };
}

/** `stored`: this scorer scores no calls, it shows recorded ones. */
export type State = "connecting" | "live" | "down" | "stored";

/** Calls kept in memory, and seconds of rates. */
const CALLS = 2_000;
const RATES = 900;
/** How often what came is shown. */
const SHOW_MS = 250;

/** What streams in, kept for all pages. Subscribers are told at most four times a second. */
class Live {
  /** Newest first. */
  calls: Call[] = [];
  /** Oldest first, one a second. */
  rates: Rates[] = [];
  state: State = "connecting";
  problem: Problem | null = null;
  /** Events that the server left out of this stream since we were too slow. */
  lost = 0;
  /** Calls since the page was opened. */
  seen = 0;

  private readonly told = new Set<() => void>();
  private timer = 0;
  private stop: AbortController | null = null;

  subscribe(then: () => void): () => void {
    this.told.add(then);
    return () => this.told.delete(then);
  }

  /** Connects, and again whenever it ends. */
  start(): void {
    this.end();
    const stop = new AbortController();
    this.stop = stop;
    void this.run(stop.signal);
  }

  end(): void {
    this.stop?.abort();
    this.calls = [];
    this.rates = [];
    this.set("connecting", null);
  }

  private async run(signal: AbortSignal): Promise<void> {
    for (let wait = 500; !signal.aborted; wait = Math.min(wait * 2, 10_000)) {
      try {
        const response = await request("stream", { signal });
        this.set("live", null);
        wait = 500;
        await this.read(response);
        this.set("connecting", null);
      } catch (error) {
        if (signal.aborted) return;
        const problem = error instanceof Problem ? error : null;
        this.set(problem?.status === 404 ? "stored" : "down", problem);
        if (problem?.status === 401 || problem?.status === 404) return;
      }
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  private async read(response: Response): Promise<void> {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const parse = parser();
    for (;;) {
      const piece = await reader?.read();
      if (!piece || piece.done) return;
      for (const event of parse(piece.value)) this.take(event);
    }
  }

  private take(event: Event): void {
    const data: unknown = JSON.parse(event.data);
    if (event.name === "call") {
      this.calls.unshift(data as Call);
      this.seen += 1;
      if (this.calls.length > CALLS) this.calls.length = CALLS;
    } else if (event.name === "update") {
      const update = data as Update;
      const at = this.calls.findIndex((call) => call.call === update.call);
      const call = this.calls[at];
      if (call) this.calls[at] = { ...call, ...update };
    } else if (event.name === "rates") {
      this.rates.push(data as Rates);
      if (this.rates.length > RATES) this.rates.shift();
    } else if (event.name === "lost") this.lost = Number((data as { count?: number }).count ?? 0);
    this.changed();
  }

  private set(state: State, problem: Problem | null): void {
    this.state = state;
    this.problem = problem;
    this.changed();
  }

  private changed(): void {
    this.timer ||= window.setTimeout(() => {
      this.timer = 0;
      for (const then of this.told) then();
    }, SHOW_MS);
  }
}

export const live = new Live();

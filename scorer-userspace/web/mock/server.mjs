// The API of /v1 with made-up data, for working on the dashboard and for its tests.
//
//   node mock/server.mjs [--port 8601] [--mode normal|empty|error] [--seed 7] [--rate 1]
//
// Tokens `admin`, `analyst` and `viewer` have the roles of their names. `empty` has no calls,
// `error` answers everything but /v1/me with 503. The built dashboard is at `/`.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as made from "./data.mjs";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};
const SECURITY = {
  "Content-Security-Policy":
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};
const POLICY = `observe = true
time_zone = "Europe/London"

[default]
action = "tag"

[destinations]
bank = ["+442079460", "+441632960000-+441632960099"]

[[rule]]
name = "own numbers"
tags_all = "allowlisted"
action = "pass"

[[rule]]
name = "scanners"
tags_any = "scanner"
dry_run = true
action = "drop"

[[rule]]
name = "almost sure"
score_from = 90
action = "reject"
response = 608

[[rule]]
name = "bank - doubtful"
destination = "bank"
level = ["medium", "high"]
action = "divert"
divert = { user = "fraud-desk" }
`;

/** A refusal, as problem+json. */
class Refusal extends Error {
  constructor(status, title, detail) {
    super(title);
    Object.assign(this, { status, title, detail });
  }
}

class Created {
  constructor(body) {
    this.body = body;
  }
}

/** Starts it; resolves to { url, close }. */
export async function start({ port = 0, mode = "normal", seed = 7, rate = 1, calls = 10_000 } = {}) {
  const now = Date.now();
  const store = {
    mode,
    seed,
    rate,
    now,
    calls: mode === "empty" ? [] : made.past(seed, now, calls),
    make: made.maker(seed + 100),
    labels: new Map(),
    lists: mode === "empty" ? [] : someLists(now),
    audit:
      mode === "empty"
        ? []
        : [
            {
              ts: new Date(now - 7.2e6).toISOString(),
              who: "carol",
              role: "admin",
              what: "POST /v1/lists",
              status: 201,
              detail: "deny range +44163296020",
            },
          ],
    trail: [],
    cases: mode === "empty" ? [] : someCases(now),
    policy: POLICY,
    streams: new Set(),
  };
  const server = createServer((request, response) => {
    answer(store, request, response).catch((error) => {
      const status = error.status ?? 500;
      response.writeHead(status, { "Content-Type": "application/problem+json" });
      response.end(
        JSON.stringify({
          type: "about:blank",
          title: error.title ?? "Internal error",
          status,
          detail: error.detail ?? String(error),
        }),
      );
    });
  });
  const timer = setInterval(() => tick(store), 1000);
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  const close = () => {
    clearInterval(timer);
    for (const stream of store.streams) stream.response.end();
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close, store };
}

async function answer(store, request, response) {
  const url = new URL(request.url, "http://x");
  const path = url.pathname.split("/").filter(Boolean).map(decodeURIComponent);
  if (path[0] !== "v1") return file(url.pathname, response);
  const role = /^Bearer (admin|analyst|viewer)$/.exec(request.headers.authorization ?? "")?.[1];
  if (!role)
    throw new Refusal(401, "A token is needed", "Send `Authorization: Bearer …`; `scorer token add` makes one.");
  let text = "";
  for await (const piece of request) text += piece;
  const body = text ? JSON.parse(text) : null;
  const context = {
    store,
    role,
    query: Object.fromEntries(url.searchParams),
    body,
    path: path.slice(1),
    method: request.method,
    request,
    response,
  };
  if (path[1] === "me")
    return send(response, 200, {
      name: { admin: "carol", analyst: "alice", viewer: "victor" }[role],
      role,
      masked: role === "viewer",
    });
  if (store.mode === "error")
    throw new Refusal(
      503,
      "The records cannot be read",
      "records.folder /var/lib/scorer/records: Input/output error (os error 5). Scoring goes on.",
    );
  if (request.method !== "GET" && role === "viewer")
    throw new Refusal(403, "Not for viewers", "This needs the role analyst.");
  const handler = HANDLERS[`${request.method} ${path[1]}`];
  if (!handler) throw new Refusal(404, "No such resource", url.pathname);
  const result = handler(context);
  if (result === undefined) return;
  const [status, answered] = result instanceof Created ? [201, result.body] : [200, result];
  send(response, status, role === "viewer" ? masked(answered) : answered);
}

function send(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store", ...SECURITY });
  response.end(body === null ? "" : JSON.stringify(body));
}

async function file(path, response) {
  const name = normalize(path === "/" ? "/index.html" : path);
  try {
    const bytes = await readFile(join(DIST, name));
    response.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream", ...SECURITY });
    response.end(bytes);
  } catch {
    throw new Refusal(404, "No such file", name);
  }
}

/** Numbers as a viewer sees them. */
function masked(value) {
  if (typeof value === "string") return value.replace(/\+\d{8,15}/g, (n) => `${n.slice(0, 6)}***${n.slice(-4)}`);
  if (Array.isArray(value)) return value.map(masked);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, masked(v)]));
  return value;
}

const HOURS = { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7, w: 6.048e8 };
function when(store, text, otherwise) {
  if (!text) return otherwise;
  const span = /^(\d+)([smhdw])$/.exec(text);
  const at = span ? Date.now() - Number(span[1]) * HOURS[span[2]] : Date.parse(text);
  if (Number.isNaN(at))
    throw new Refusal(400, "The query is wrong", `since: \`${text}\` is neither a time nor a span such as 1h or 7d`);
  return at;
}

function chosen({ store, query }) {
  const since = when(store, query.since, 0);
  const until = when(store, query.until, Infinity);
  const same = {
    caller: ["caller", "network_number"],
    callee: ["callee"],
    trunk: ["trunk"],
    country: ["caller_country"],
    fingerprint: ["fingerprint"],
    profile: ["profile"],
    outcome: ["outcome"],
    action: ["action", "would"],
  };
  return store.calls.filter((call) => {
    const at = Date.parse(call.ts);
    if (at < since || at >= until) return false;
    if (query.level && made.RANK[call.level] < made.RANK[query.level]) return false;
    if (query.min_score && call.score < Number(query.min_score)) return false;
    if (query.tag && !call.tags.includes(query.tag)) return false;
    if (query.label && (call.label ?? "none") !== query.label) return false;
    for (const [name, fields] of Object.entries(same))
      if (query[name] && !fields.some((f) => call[f] === query[name])) return false;
    return !query.q || JSON.stringify([call.call_id, call.caller, call.callee, call.network_number]).includes(query.q);
  });
}

const shown = ({ family, display, ...call }) => call;
function page(items, query) {
  const limit = Number(query.limit ?? 50);
  if (!(limit >= 1 && limit <= 500)) throw new Refusal(400, "The query is wrong", "limit must be 1 to 500");
  // From the end, so that what is added in front moves nothing.
  const at = query.cursor ? items.length - Number(query.cursor) : 0;
  return {
    items: items.slice(at, at + limit),
    next: at + limit < items.length ? String(items.length - at - limit) : null,
  };
}
const find = (store, key) => {
  const call = store.calls.find((c) => c.call === key || c.call_id === key);
  if (!call) throw new Refusal(404, "No such call", `No recorded call has the key or Call-ID ${key}.`);
  return call;
};
const counted = (items) =>
  Object.entries(items.reduce((n, v) => ({ ...n, [v]: (n[v] ?? 0) + 1 }), {}))
    .map(([value, n]) => ({ value, calls: n }))
    .sort((a, b) => b.calls - a.calls);
const trunkOf = (c) => c.trunk ?? "none";
const KEYS = {
  level: (c) => [c.level],
  tag: (c) => c.tags,
  reason: (c) => c.reasons.filter((x) => x.contribution > 0.5).map((x) => x.feature),
  caller_country: (c) => [c.caller_country ?? "none"],
  callee_country: (c) => [c.callee_country ?? "none"],
  trunk: (c) => [trunkOf(c)],
  destination: (c) => [c.destination],
  outcome: (c) => [c.outcome ?? "none"],
  action: (c) => [c.would ?? c.action],
  fingerprint: (c) => [c.fingerprint],
  hour_of_week: (c) => [String(((new Date(c.ts).getUTCDay() + 6) % 7) * 24 + new Date(c.ts).getUTCHours())],
};

const HANDLERS = {
  "GET calls": (c) => {
    if (c.path.length === 1) return page(chosen(c).map(shown), c.query);
    const call = find(c.store, c.path[1]);
    const labels = c.store.labels.get(call.call) ?? [];
    return {
      ...shown(call),
      features: made.features(call),
      ladder: made.ladder(call),
      headers: made.headers(call),
      message_available: true,
      labels,
      cases: c.store.cases.filter((x) => x.profiles.some((each) => each.profile === call.profile)).map((x) => x.name),
    };
  },
  "GET stream": ({ store, response, role, query }) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write(": hello\n\n");
    const stream = { response, role, query };
    store.streams.add(stream);
    response.on("close", () => store.streams.delete(stream));
  },
  "POST labels": ({ store, body, role }) => {
    const call = find(store, body.call_id);
    call.label = body.label;
    if (!["fraud", "genuine"].includes(body.label))
      throw new Refusal(422, "The body is wrong", "label is fraud or genuine");
    const given = {
      call_id: call.call_id,
      label: body.label,
      by: role,
      at: new Date().toISOString(),
      weight: 1,
      note: body.note ?? "",
    };
    store.labels.set(call.call, [given, ...(store.labels.get(call.call) ?? [])]);
    store.audit.unshift({
      ts: given.at,
      who: role,
      role,
      what: "POST /v1/labels",
      status: 201,
      detail: `${call.call_id} ${body.label}`,
    });
    return new Created(given);
  },
  "GET reports": (c) => {
    if (c.path[1] === "trends")
      return {
        rows: c.store.calls.length
          ? made.trends(
              c.store.seed,
              c.store.now,
              c.query.unit ?? "day",
              when(c.store, c.query.since, Date.now() - 56 * 8.64e7),
            )
          : [],
      };
    return report(c, c.path[1]);
  },
  "GET lists": ({ store, path, query }) => {
    if (path[1] === "audit") return page(store.trail, query);
    return page(
      store.lists.filter(
        (e) =>
          (!query.list || e.list === query.list) &&
          (!query.kind || e.kind === query.kind) &&
          (!query.q || JSON.stringify(e).includes(query.q)),
      ),
      query,
    );
  },
  "POST lists": ({ store, body, role }) => {
    if (!body.value) throw new Refusal(422, "The entry is wrong", "value: a number needs at least one digit");
    if (body.kind === "number" && !/^\+?\d+$/.test(body.value))
      throw new Refusal(422, "The entry is wrong", `value: ${body.value} is no number`);
    const entry = { reason: null, expires: null, ...body, author: role, created: new Date().toISOString() };
    store.lists.unshift(entry);
    store.trail.unshift({
      ts: entry.created,
      author: role,
      change: "added",
      list: entry.list,
      kind: entry.kind,
      value: entry.value,
      reason: entry.reason,
    });
    return new Created(entry);
  },
  "DELETE lists": ({ store, path, role, response }) => {
    const at = store.lists.findIndex((e) => e.list === path[1] && e.kind === path[2] && e.value === path[3]);
    if (at < 0) throw new Refusal(404, "No such entry", path.slice(1).join(" "));
    store.lists.splice(at, 1);
    store.trail.unshift({
      ts: new Date().toISOString(),
      author: role,
      change: "removed",
      list: path[1],
      kind: path[2],
      value: path[3],
      reason: null,
    });
    response.writeHead(204).end();
  },
  "GET policy": ({ store }) => ({
    file: "/etc/scorer/policy.toml",
    text: store.policy,
    rules: rules(store.policy),
    default: "tag",
    observes: true,
    faults: [],
  }),
  "POST policy": ({ store, body }) => simulate(store, body),
  "GET cases": ({ store, path }) => (path[1] ? oneCase(store, path[1]) : { items: store.cases, next: null }),
  "POST cases": ({ store, body }) => {
    if (store.cases.some((x) => x.name === body.name))
      throw new Refusal(409, "There is such a case", `A case ${body.name} exists; choose another name.`);
    const at = new Date().toISOString();
    const profiles = (body.profiles ?? []).map((profile) => ({ profile }));
    const made = {
      status: "open",
      method: "",
      notes: [],
      next_call: orders(body.next_call ?? { action: "policy" }),
      ...body,
      profiles,
      created: at,
      changed: at,
    };
    store.cases.unshift(made);
    return new Created(made);
  },
  "PATCH cases": ({ store, path, body, role }) => {
    const found = oneCase(store, path[1]);
    const { note, ...rest } = body;
    if (rest.next_call) orders(rest.next_call);
    Object.assign(found, rest, { changed: new Date().toISOString() });
    if (note) found.notes.push({ at: found.changed, author: role, text: note });
    return found;
  },
  "GET profiles": (c) => (c.path[1] ? sheet(c.store, c.path[1]) : profiles(c)),
  "GET models": ({ store, path }) => (path[1] === "calibration" ? calibration(store) : models(store)),
  "GET gate": () => ({ rules: [] }),
  "GET consortium": ({ store }) => {
    if (store.mode === "empty")
      throw new Refusal(404, "Not configured", "no consortium is configured (consortium.folder)");
    const member = (name, trust, more) => ({
      name,
      trust,
      joined: true,
      revoked: null,
      taken: 0,
      active: 0,
      refused: {},
      ...more,
    });
    return {
      consortium: "demo",
      mode: "keyed",
      epoch: 3,
      connected: true,
      position: 812,
      lag: 0,
      as_of: new Date().toISOString(),
      quorum: { members: 2, weight: 100 },
      refused: { rate_limited: 41, replayed: 2 },
      members: [
        member("example-telco", 100, { taken: 412, active: 380 }),
        member("north-bank", 80, { taken: 97, active: 96, refused: { rate_limited: 41 } }),
        member("isle-mobile", 50, { revoked: new Date(Date.now() - 9e6).toISOString(), refused: { replayed: 2 } }),
        member("west-cable", 50, { joined: false }),
      ],
    };
  },
  "GET system": ({ store }) => system(store),
  "GET audit": ({ store, query, role }) => {
    if (role !== "admin") throw new Refusal(403, "Not for you", "The audit log needs the role admin.");
    return page(store.audit, query);
  },
};

function report({ store, query }, by) {
  const since = when(store, query.since, Date.now() - 8.64e7);
  const until = when(store, query.until, Date.now());
  const calls = chosen({
    store,
    query: { since: new Date(since).toISOString(), until: new Date(until).toISOString() },
  });
  const rows = new Map();
  const bucket = query.bucket
    ? HOURS[query.bucket.slice(-1)] * parseInt(query.bucket)
    : Math.max(6e4, (until - since) / 60);
  const keys =
    by === "time" ? (c) => [new Date(Math.floor(Date.parse(c.ts) / bucket) * bucket).toISOString()] : KEYS[by];
  if (!keys) throw new Refusal(404, "No such report", by);
  for (const call of calls) {
    for (const key of keys(call)) {
      const row = rows.get(key) ?? { key, calls: 0, high: 0, fraud_labels: 0, score: 0 };
      rows.set(key, row);
      row.calls += 1;
      row.high += made.RANK[call.level] >= 2 ? 1 : 0;
      row.fraud_labels += call.label === "fraud" ? 1 : 0;
      row.score += call.score;
    }
  }
  const all = [...rows.values()].map(({ score, ...row }) => ({
    ...row,
    score_avg: +(score / row.calls).toFixed(1),
    ...(by === "time" && { ts: row.key }),
  }));
  all.sort(by === "time" ? (a, b) => a.key.localeCompare(b.key) : (a, b) => b.calls - a.calls);
  return {
    by,
    since: new Date(since).toISOString(),
    until: new Date(until).toISOString(),
    rows: all.slice(0, Number(query.limit ?? 500)),
  };
}

function rules(text) {
  return text
    .split("[[rule]]")
    .slice(1)
    .map((rule) => {
      const lines = rule
        .split("\n")
        .map((l) => l.split(/\s*=\s*(.*)/s))
        .filter(([k, v]) => k && v && !k.startsWith("["));
      const all = Object.fromEntries(lines.map(([k, v]) => [k, v.replaceAll('"', "")]));
      const { name, action, dry_run, response, divert, ...conditions } = all;
      return {
        name,
        action,
        response: response && Number(response),
        dry_run: dry_run === "true",
        conditions,
        hits: name.length * 97,
      };
    });
}

function simulate(store, { text, since, until }) {
  const calls = chosen({ store, query: { since, until } });
  const faults = (text ?? "").split("\n").flatMap((line, i) =>
    /^scor_/.test(line)
      ? [
          {
            line: i + 1,
            column: 1,
            message: `a rule has no key "${line.split(" ")[0]}"; did you mean score_from?`,
          },
        ]
      : [],
  );
  if (faults.length) return { calls: calls.length, now: {}, then: {}, changed: 0, examples: [], faults };
  const from = Number(/score_from = (\d+)/.exec(text ?? store.policy)?.[1] ?? 90);
  const then = (c) => (c.score >= from ? "reject" : c.score >= 40 ? "divert" : "tag");
  const tally = (f) => Object.fromEntries(counted(calls.map(f)).map(({ value, calls: n }) => [value, n]));
  const changed = calls.filter((c) => then(c) !== (c.would ?? c.action));
  return {
    calls: calls.length,
    now: tally((c) => c.would ?? c.action),
    then: tally(then),
    changed: changed.length,
    examples: changed.slice(0, 50).map((c) => ({
      ...shown(c),
      now: c.would ?? c.action,
      then: then(c),
      rule: then(c) === "reject" ? "almost sure" : "bank - doubtful",
    })),
    faults: [],
  };
}

function orders(next) {
  if (next.action === "divert" && !next.target)
    throw new Refusal(422, "The body is wrong", "target says where to: USER@HOST, USER@ or HOST");
  return next;
}

const oneCase = (store, name) => {
  const found = store.cases.find((x) => x.name === name);
  if (!found) throw new Refusal(404, "No such case", `There is no case ${name}.`);
  return found;
};

function profiles({ store, query }) {
  const all = new Map();
  for (const call of store.calls) {
    const row = all.get(call.profile) ?? {
      profile: call.profile,
      calls: 0,
      first: call.ts,
      last: call.ts,
      n: new Set(),
      c: new Set(),
      score_max: 0,
      t: new Set(),
      fraud_labels: 0,
      case: store.cases.find((x) => x.profiles.some((each) => each.profile === call.profile))?.name ?? null,
    };
    all.set(call.profile, row);
    row.calls += 1;
    row.first = call.ts;
    row.n.add(call.caller);
    row.c.add(call.callee);
    for (const tag of call.tags) row.t.add(tag);
    row.score_max = Math.max(row.score_max, call.score);
    row.fraud_labels += call.label === "fraud" ? 1 : 0;
  }
  const order = {
    calls: (a, b) => b.calls - a.calls,
    score: (a, b) => b.score_max - a.score_max || b.calls - a.calls,
    last: (a, b) => b.last.localeCompare(a.last),
  }[query.order ?? "calls"];
  const rows = [...all.values()].map(({ n, c, t, ...row }) => ({
    ...row,
    numbers: n.size,
    callees: c.size,
    tags: [...t],
  }));
  return page(rows.filter((row) => !query.q || row.profile.includes(query.q)).sort(order), query);
}

function sheet(store, key) {
  const profile = store.calls.find((c) =>
    [c.profile, c.caller, c.network_number, c.call_id, c.call].includes(key),
  )?.profile;
  if (!profile) throw new Refusal(404, "Nobody found", `No recorded call is of ${key}.`);
  const calls = store.calls.filter((c) => c.profile === profile);
  const numbers = counted(calls.map((c) => c.caller)).slice(0, 14);
  const callees = counted(calls.map((c) => c.callee));
  const prints = counted(calls.map((c) => c.fingerprint));
  const others = [
    ...new Set(
      store.calls
        .filter((c) => c.family && c.family === calls[0].family && c.profile !== profile)
        .map((c) => c.profile),
    ),
  ].slice(0, 2);
  const nodes = [{ id: profile, kind: "profile", label: profile, weight: calls.length }];
  const edges = [];
  const add = (kind, list) =>
    list.forEach(({ value, calls: n }) => {
      nodes.push({ id: `${kind}:${value}`, kind, label: value, weight: n });
      edges.push({ from: profile, to: `${kind}:${value}`, kind, weight: n });
    });
  add("number", numbers);
  add("fingerprint", prints);
  add("callee", callees);
  others.forEach((other, i) => {
    nodes.push({ id: other, kind: "profile", label: other, weight: 8 });
    edges.push({ from: profile, to: other, kind: "link", weight: 0.9 - i * 0.25 });
    for (const { value } of callees.slice(0, 2))
      edges.push({ from: other, to: `callee:${value}`, kind: "callee", weight: 2 });
  });
  return {
    profile,
    timeline: [...calls].reverse().map(({ ts, score, level, call, call_id, caller, callee, outcome, action }) => ({
      ts,
      score,
      level,
      call,
      call_id,
      caller,
      callee,
      outcome,
      action,
    })),
    numbers: numbers.map(({ value, calls: n }) => ({
      number: value,
      shown: n,
      asserted: 0,
      withheld: value === "anonymous" ? n : 0,
    })),
    callees,
    countries: counted(calls.map((c) => c.caller_country ?? "unknown")),
    method: calls[0].family
      ? [
          "changes the number shown from call to call",
          "calls the same few accounts, by day, at a machine's pace",
          "enters through resellers; PJSUA behind a private network",
        ]
      : ["an ordinary caller: one number, few callees"],
    linked: others.map((other, i) => ({
      profile: other,
      confidence: +(0.93 - i * 0.24).toFixed(2),
      evidence: [
        { kind: "stack", nats: 6.2 - i, shared: true, profiles: 3 },
        { kind: "callee", nats: 3.1, shared: true, profiles: 2 },
        { kind: "source", nats: -0.4, shared: false, profiles: 0 },
      ],
    })),
    outcomes: Object.fromEntries(counted(calls.map((c) => c.outcome)).map(({ value, calls: n }) => [value, n])),
    calls: calls.slice(0, 50).map(shown),
    calls_total: calls.length,
    cases: store.cases.filter((x) => x.profiles.some((each) => each.profile === profile)).map((x) => x.name),
    joined_from: [],
    graph: { nodes, edges },
  };
}

function models(store) {
  const r = made.random(store.seed + 3);
  const drift = [
    "sdp_first_codec",
    "user_agent_family",
    "caller_country",
    "log_source_calls_10s",
    "header_count",
    "stir_attestation",
    "order_rarity",
    "branch_pattern",
    "caller_answer_share",
    "setup_time_mean",
  ].map((feature, i) => ({ feature, psi: +(0.34 * 0.72 ** i + r() * 0.01).toFixed(3) }));
  if (store.mode === "empty")
    return {
      champion: { name: "ensemble-2", id: "6b5d0c2f9a41e377", card: null },
      challenger: null,
      trial: null,
      drift: [],
      metrics: {},
    };
  return {
    champion: {
      name: "ensemble-2",
      id: "6b5d0c2f9a41e377",
      card: "# ensemble-2\nTrained on simulated calls only.",
    },
    challenger: { name: "ensemble-3", id: "a90e44d1c2b8f015", card: null },
    trial: {
      calls: 284_113,
      agree: 281_904,
      champion_only: 807,
      challenger_only: 1_402,
      mean_difference: 0.0021,
      labelled: {
        champion: { genuine_low: 402, genuine_high: 19, fraud_low: 31, fraud_high: 231 },
        challenger: { genuine_low: 404, genuine_high: 17, fraud_low: 18, fraud_high: 244 },
      },
    },
    drift,
    metrics: {
      labelled_fraud: 262,
      labelled_genuine: 421,
      recall_high: 0.8817,
      precision_high: 0.924,
      brier: 0.0611,
      auc: 0.9871,
    },
  };
}

function calibration(store) {
  if (store.mode === "empty") return { rows: [] };
  return {
    rows: Array.from({ length: 10 }, (_, i) => ({
      low: i / 10,
      high: (i + 1) / 10,
      calls: Math.round(4000 * 0.45 ** i) + 40,
      predicted: +(i / 10 + 0.05).toFixed(3),
      observed: +Math.min(1, Math.max(0, i / 10 + 0.05 + Math.sin(i) * 0.04)).toFixed(3),
    })),
  };
}

function system(store) {
  return {
    version: "0.3.0 (mock)",
    started: new Date(store.now - 3 * 8.64e7).toISOString(),
    host: "edge-lon-1",
    mode: "tap",
    interfaces: [
      { name: "eth1", mode: "native", mtu: 1500, queues: 8 },
      { name: "eth2", mode: "generic", mtu: 1500, queues: 2 },
    ],
    rings: {
      frames: 184_220_113,
      sip: 3_120_440,
      invites: 412_873,
      dialog_messages: 1_204_881,
      invite_ring_full: 0,
      dialog_ring_full: 3,
      oversize: 0,
      fragments: 112,
    },
    memory: { calls: 8_120, bytes: 60_112_000, most: 67_108_864 },
    queues: {
      records: { length: 12, capacity: 16384, dropped: 0 },
      stream: { length: 3, capacity: 4096, dropped: 41 },
      verdict_udp: { length: 0, capacity: 1024, dropped: 0 },
      hep: { length: 0, capacity: 1024, dropped: 0 },
    },
    records: { folder: "/var/lib/scorer/records", bytes: 18_733_112_320, paused: false },
    doctor: [
      { check: "kernel", ok: true, detail: "6.12.0, 5.18 is the least" },
      { check: "capabilities", ok: true, detail: "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON" },
      { check: "XDP on eth1", ok: true, detail: "native" },
      {
        check: "XDP on eth2",
        ok: false,
        detail: "the driver has no native XDP: generic mode, slower. Use a NIC of another driver, or leave it",
      },
      { check: "clock", ok: true, detail: "synchronised, 0.2 ms" },
      { check: "records", ok: true, detail: "18.7 GB of 200 GB" },
    ],
    model: { name: "ensemble-2", id: "6b5d0c2f9a41e377", trees: 300 },
    object: { sha256: "41d0c7…", built: "2026-11-20" },
  };
}

const someLists = (now) =>
  [
    ["deny", "number", "+441632960042", "threatened staff, ticket 4711", 90],
    ["deny", "range", "+44163296020", "unallocated block, robocalls", 30],
    ["deny", "source", "203.0.113.144", "scanner", null],
    ["allow", "number", "+442079460012", "our own contact centre", null],
    ["allow", "trunk", "ee-volte", "attested mobile traffic", null],
    ["deny", "fingerprint", "d457caf59188c9b9", "dialler of case bank-3", 14],
  ].map(([list, kind, value, reason, days], i) => ({
    list,
    kind,
    value,
    reason,
    author: i % 2 ? "alice" : "carol",
    created: new Date(now - (i + 1) * 4e7).toISOString(),
    expires: days ? new Date(now + days * 8.64e7).toISOString() : null,
  }));

const someCases = (now) => [
  {
    name: "bank-3",
    status: "open",
    method: "shows the bank's own number, asks for a transfer",
    notes: [{ at: new Date(now - 9e7).toISOString(), author: "alice", text: "Same voice reported by two customers." }],
    next_call: { action: "divert", target: "fraud-desk@192.0.2.9", reason: "fraud desk listens in" },
    profiles: [],
    created: new Date(now - 2e8).toISOString(),
    changed: new Date(now - 9e7).toISOString(),
  },
  {
    name: "wangiri-tn",
    status: "watching",
    method: "one ring from Tunisian numbers",
    notes: [],
    next_call: { action: "policy" },
    profiles: [],
    created: new Date(now - 8e8).toISOString(),
    changed: new Date(now - 5e8).toISOString(),
  },
];

/** A second of live traffic. */
function tick(store) {
  const now = Date.now();
  const amount =
    store.mode === "empty" || store.mode === "error" ? 0 : Math.floor(store.rate * 2 * Math.random() + Math.random());
  const fresh = Array.from({ length: amount }, () => store.make(now));
  for (const call of fresh)
    Object.assign(call, {
      held: [call.outcome, call.code, call.setup_s, call.duration_s],
      outcome: null,
      code: null,
      setup_s: null,
      duration_s: null,
    });
  store.calls.unshift(...[...fresh].reverse());
  const done = store.calls.slice(0, 60).filter((c) => c.held && Date.parse(c.ts) < now - 3000);
  const updates = done.map((call) => {
    const [outcome, code, setup_s, duration_s] = call.held;
    delete call.held;
    Object.assign(call, { outcome, code, setup_s, duration_s });
    return { call: call.call, outcome, code, setup_s, duration_s };
  });
  const minute = store.calls.filter((c) => Date.parse(c.ts) > now - 60_000);
  const rates = {
    ts: new Date(now).toISOString(),
    calls_per_min: minute.length,
    high_per_min: minute.filter((c) => c.score >= 70).length,
    latency_us: amount
      ? { p50: +(7 + Math.random()).toFixed(1), p99: +(24 + 6 * Math.random()).toFixed(1) }
      : { p50: null, p99: null },
    drops: 0,
    active: Math.round(amount * 18 * (0.9 + 0.2 * Math.random())),
  };
  for (const { response, role, query } of store.streams) {
    // Networks cut where they like.
    const tell = (name, data) => {
      const bytes = Buffer.from(`event: ${name}\ndata: ${JSON.stringify(role === "viewer" ? masked(data) : data)}\n\n`);
      const at = Math.floor(Math.random() * bytes.length);
      response.write(bytes.subarray(0, at));
      response.write(bytes.subarray(at));
    };
    for (const call of fresh)
      if (!query.level || made.RANK[call.level] >= made.RANK[query.level]) tell("call", shownLive(call));
    for (const update of updates) tell("update", update);
    tell("rates", rates);
  }
}
const shownLive = ({ held, ...call }) => shown(call);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = {
    port: { type: "string", default: "8601" },
    mode: { type: "string", default: "normal" },
    seed: { type: "string", default: "7" },
    rate: { type: "string", default: "1" },
  };
  const { values } = parseArgs({ options });
  const { url } = await start({ port: +values.port, mode: values.mode, seed: +values.seed, rate: +values.rate });
  console.log(`mock API and dashboard: ${url} (tokens admin, analyst, viewer)`);
}

// What the API answers (GET /v1/openapi.json is the reference). Times are RFC 3339, UTC.

export type Level = "low" | "medium" | "high" | "critical";
export type Role = "viewer" | "analyst" | "admin";
export type Label = "fraud" | "genuine" | null;

export interface Me {
  name: string;
  role: Role;
  /** Whether numbers come masked. */
  masked: boolean;
}

export interface Page<T> {
  items: T[];
  /** Where the next page begins; null on the last. */
  next: string | null;
}

export interface Reason {
  feature: string;
  text: string;
  /** Log-odds; above 0 towards fraud. */
  contribution: number;
}

export interface Call {
  ts: string;
  /** Key of the call attempt, hexadecimal. */
  call: string;
  call_id: string;
  caller: string | null;
  network_number: string | null;
  callee: string | null;
  caller_country: string | null;
  callee_country: string | null;
  source: string;
  destination: string;
  transport: string;
  trunk: string | null;
  fingerprint: string;
  profile: string | null;
  /** 0 to 100. */
  score: number;
  probability: number;
  level: Level;
  tags: string[];
  reasons: Reason[];
  model: string;
  action: string;
  rule: string | null;
  response: number | null;
  would: string | null;
  dry_run: string | null;
  lists: string[];
  outcome: string | null;
  code: number | null;
  setup_s: number | null;
  duration_s: number | null;
  label: Label;
  latency_ns: number | null;
}

export interface FeatureValue {
  name: string;
  group: string;
  value: number | null;
  /** 5 % and 95 % of usual calls. */
  low: number | null;
  median: number | null;
  high: number | null;
  unusual: boolean;
  text: string;
}

export interface Step {
  ts: string;
  /** Who sent it; `either` where that is not recorded. */
  from: "caller" | "callee" | "either";
  what: string;
}

export interface Header {
  name: string;
  value: string;
  /** Why it is odd. */
  odd: string | null;
}

export interface GivenLabel {
  at: string;
  label: Label;
  by: string;
  note?: string | null;
}

export interface CallDetail extends Call {
  features: FeatureValue[];
  ladder: Step[];
  headers: Header[] | null;
  message_available: boolean;
  labels: GivenLabel[];
  cases: string[];
}

export interface Update {
  call: string;
  outcome: string | null;
  code: number | null;
  setup_s: number | null;
  duration_s: number | null;
}

export interface Rates {
  ts: string;
  calls_per_min: number;
  high_per_min: number;
  latency_us: { p50: number | null; p99: number | null };
  drops: number;
  active: number;
}

export interface ReportRow {
  key: string;
  calls: number;
  high: number;
  fraud_labels: number;
  score_avg: number;
  /** Of a report by time. */
  ts?: string;
  /** Of a report by reason: what the feature says. */
  text?: string;
}

export interface Report {
  by: string;
  since: string;
  until: string;
  rows: ReportRow[];
}

export interface TrendRow {
  ts: string;
  calls: number;
  high: number;
  tags: Record<string, number>;
  countries: Record<string, number>;
  labels: { fraud: number; genuine: number };
}

export type ListName = "deny" | "allow";
export interface ListEntry {
  list: ListName;
  kind: string;
  value: string;
  reason: string | null;
  author: string | null;
  created: string;
  expires: string | null;
}

export interface ListChange {
  ts: string;
  author: string | null;
  change: string;
  list: string;
  kind?: string;
  value: string;
  reason?: string | null;
}

export interface Policy {
  file: string | null;
  text: string;
  rules: {
    name: string;
    comment?: string | null;
    action: string;
    response?: number | null;
    dry_run: boolean;
    conditions: unknown;
    hits?: number | null;
  }[];
  /** Where no rule decides. */
  default?: string | null;
  /** Nothing is acted on. */
  observes?: boolean;
  faults?: Fault[];
}

export interface Fault {
  line: number;
  column: number;
  message: string;
}

export interface Simulation {
  calls: number;
  now: Record<string, number>;
  then: Record<string, number>;
  changed: number;
  examples: (Call & { now: string; then: string; rule: string | null })[];
  faults: Fault[];
  warnings?: Fault[];
  /** There were more calls than are looked at. */
  cut?: boolean;
}

export interface Case {
  name: string;
  status: string;
  method: string | null;
  notes: { at: string; author: string | null; text: string }[];
  next_call: { action: string; target?: string; reason?: string } | null;
  profiles: { profile: string; calls?: number }[];
  created: string;
  changed: string;
}

export interface ProfileRow {
  profile: string;
  calls: number;
  first: string;
  last: string;
  numbers: number;
  callees: number;
  score_max: number;
  tags: string[];
  fraud_labels: number;
  case: string | null;
}

export interface GraphNode {
  id: string;
  kind: string;
  label: string;
  weight: number;
}
export interface GraphEdge {
  from: string;
  to: string;
  kind: string;
  weight: number;
}

export interface Counted {
  value: string;
  calls: number;
}

export interface Linked {
  profile: string;
  confidence: number;
  evidence: (string | { kind: string; nats: number; shared?: boolean; profiles?: number })[];
}

export interface Sheet {
  profile: string;
  timeline: {
    ts: string;
    score: number;
    level?: Level;
    call?: string;
    call_id?: string;
    caller?: string | null;
    callee?: string | null;
    outcome?: string | null;
    action?: string;
  }[];
  numbers: { number: string; shown?: number; asserted?: number; withheld?: number; calls?: number }[];
  callees: Counted[];
  countries: Counted[];
  method: string | string[] | null;
  linked: Linked[];
  outcomes: Record<string, number> | Counted[];
  /** The latest of them. */
  calls: Call[];
  calls_total?: number;
  countries_called?: Counted[];
  places?: Counted[];
  joined_from?: string[];
  cases?: string[];
  /** Since when calls of the profile, and others' of its numbers and accounts, were looked at. */
  looked?: { all: boolean; calls_since: string; others_since: string };
  graph: { nodes: GraphNode[]; edges: GraphEdge[] };
}

export interface Model {
  name: string;
  id: string;
  kind?: string;
  card?: string | null;
}

/** Labelled calls by what they were and whether the model found them high. */
export interface Found {
  genuine_low: number;
  genuine_high: number;
  fraud_low: number;
  fraud_high: number;
}

export interface Models {
  champion: Model | null;
  challenger: Model | null;
  trial: {
    calls: number;
    agree: number;
    champion_only: number;
    challenger_only: number;
    mean_difference: number;
    labelled?: { champion: Found; challenger: Found };
  } | null;
  drift: { feature: string; psi: number }[];
  metrics: Record<string, number>;
}

export interface Calibration {
  rows: { low: number; high: number; calls: number; predicted: number; observed: number | null }[];
}

export interface System {
  version: string;
  started: string;
  host: string;
  mode: string;
  interfaces: (string | Record<string, unknown>)[];
  rings: Record<string, unknown>;
  queues: Record<string, { length: number; capacity: number; dropped: number }>;
  records: { folder: string | null; bytes: number; paused: boolean } | null;
  doctor: { check: string; ok: boolean; detail: string }[];
  memory?: { calls: number; bytes: number; most: number } | null;
  model: unknown;
  object: unknown;
}

export interface AuditLine {
  ts: string;
  who: string;
  role: string;
  what: string;
  status?: number;
  detail: string | null;
}

export interface ConsortiumMember {
  name: string;
  /** Per cent. */
  trust: number;
  joined: boolean;
  revoked: string | null;
  /** Events taken so far, and those that hold. */
  taken: number;
  active: number;
  /** Messages refused, by cause. */
  refused: Record<string, number>;
}

export interface ConsortiumNow {
  consortium: string | null;
  mode: "keyed" | "blind" | null;
  epoch: number | null;
  /** Whether the scorer that runs has NATS. */
  connected: boolean;
  position: number;
  lag: number;
  as_of: string | null;
  quorum: { members: number; weight: number };
  refused: Record<string, number>;
  members: ConsortiumMember[];
}

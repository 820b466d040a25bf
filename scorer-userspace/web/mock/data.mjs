// Made-up calls, the same for the same seed. Numbers are national drama ranges; where a country has
// none, numbers that cannot exist.

/** mulberry32: enough for a mock. */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pad = (n, width) => String(n).padStart(width, "0");
const hex = (r, digits) => Array.from({ length: digits }, () => Math.floor(r() * 16).toString(16)).join("");
const one = (r, list) => list[Math.floor(r() * list.length)];
function weighed(r, pairs) {
  let at = r() * pairs.reduce((sum, [, w]) => sum + w, 0);
  for (const [value, w] of pairs) if ((at -= w) < 0) return value;
  return pairs[0][0];
}

const DRAMA = {
  GB: (r) =>
    r() < 0.6 ? `+441632960${pad(Math.floor(r() * 1000), 3)}` : `+4420794600${pad(Math.floor(r() * 100), 2)}`,
  US: (r) => `+1202555${pad(100 + Math.floor(r() * 100), 4)}`,
  FR: (r) => `+33199000${pad(Math.floor(r() * 1000), 3)}`,
  DE: (r) => `+493023125${pad(Math.floor(r() * 1000), 3)}`,
  AU: (r) => `+61255501${pad(Math.floor(r() * 100), 2)}0`.slice(0, 12),
  SE: (r) => `+46846500${pad(400 + Math.floor(r() * 100), 3)}`,
};
const NONE = {
  IE: 353,
  NL: 31,
  ES: 34,
  IN: 91,
  PK: 92,
  NG: 234,
  PL: 48,
  RO: 40,
  RU: 7,
  LV: 371,
  TN: 216,
  CU: 53,
  SL: 232,
  BR: 55,
  CN: 86,
  ZA: 27,
  EG: 20,
  TR: 90,
};
const number = (r, country) => DRAMA[country]?.(r) ?? `+${NONE[country]}00000${pad(Math.floor(r() * 1000), 3)}`;

const HONEST_FROM = [
  ["GB", 62],
  ["US", 7],
  ["IE", 5],
  ["FR", 4],
  ["DE", 4],
  ["ES", 3],
  ["NL", 2],
  ["IN", 3],
  ["PL", 2],
  ["AU", 2],
  ["SE", 1],
  ["BR", 1],
  ["ZA", 1],
  ["CN", 1],
  ["TR", 1],
];
const TRUNKS = [
  ["bt-ic-1", 26],
  ["vodafone-ic", 22],
  ["gamma-sip", 17],
  ["transit-a", 12],
  ["transit-b", 9],
  ["reseller-k", 8],
  ["ee-volte", 14],
  [null, 3],
];
const ADDRESSES = {
  "bt-ic-1": "192.0.2.10",
  "vodafone-ic": "192.0.2.22",
  "gamma-sip": "198.51.100.7",
  "transit-a": "203.0.113.5",
  "transit-b": "203.0.113.77",
  "reseller-k": "198.51.100.140",
  "ee-volte": "192.0.2.61",
};

/** name, weight among fraud, tags, from, trunks, score, reasons. */
const FAMILIES = [
  {
    name: "bank_spoof",
    w: 16,
    tags: ["spoofed", "voip", "unattested"],
    from: [["GB", 1]],
    trunks: ["reseller-k", "transit-b"],
    score: [78, 99],
    why: [
      "presentation_differs_from_network",
      "caller_protected",
      "caller_country_differs_from_source",
      "contact_private_ip",
    ],
  },
  {
    name: "number_changer",
    w: 20,
    tags: ["withheld", "repeat_withheld", "linked"],
    from: [["GB", 1]],
    trunks: ["reseller-k", "gamma-sip"],
    score: [55, 93],
    why: ["log_withheld_to_callee_1h", "number_withheld", "profile_fraud_labels", "number_with_other_fingerprints"],
  },
  {
    name: "robocall",
    w: 24,
    tags: ["robocall", "unattested"],
    from: [
      ["GB", 3],
      ["IN", 2],
      ["PK", 2],
    ],
    trunks: ["transit-a", "reseller-k"],
    score: [60, 96],
    why: ["robocall_pattern", "log_caller_distinct_callees", "caller_short_call_share", "stir_attestation_c"],
  },
  {
    name: "wangiri",
    w: 14,
    tags: ["wangiri", "international", "high_cost"],
    from: [
      ["TN", 3],
      ["LV", 2],
      ["SL", 3],
      ["CU", 2],
      ["NG", 2],
    ],
    trunks: ["transit-a", "transit-b"],
    score: [62, 97],
    why: ["wangiri_pattern", "caller_answer_share", "international_call", "caller_country_risk"],
  },
  {
    name: "irsf",
    w: 6,
    tags: ["irsf", "high_cost", "international"],
    from: [
      ["RO", 1],
      ["RU", 1],
      ["PL", 1],
    ],
    trunks: ["gamma-sip"],
    score: [70, 98],
    why: ["irsf_pattern", "callee_high_cost", "caller_high_cost_share"],
  },
  {
    name: "neighbour",
    w: 12,
    tags: ["neighbour", "spoofed"],
    from: [["GB", 1]],
    trunks: ["transit-b", "reseller-k"],
    score: [48, 88],
    why: ["caller_digits_shared_with_callee", "presentation_differs_from_network", "fingerprint_new_for_source"],
  },
  {
    name: "tdos",
    w: 4,
    tags: ["tdos", "unallocated"],
    from: [["GB", 1]],
    trunks: ["transit-a"],
    score: [66, 95],
    why: ["tdos_pattern", "log_callee_calls_1m", "caller_range_allocated"],
  },
  {
    name: "scanner",
    w: 4,
    tags: ["scanner", "voip"],
    from: [[null, 1]],
    trunks: [null],
    score: [90, 100],
    why: ["user_agent_is_scanner", "caller_length", "branch_cookie", "source_failure_share"],
  },
];
const REASONS = {
  presentation_differs_from_network: "the number shown differs from the one the network asserts",
  caller_protected: "the number shown is a protected one, such as a bank's inbound number",
  caller_country_differs_from_source: "the caller's country is not the source address's",
  contact_private_ip: "the Contact host is a private address",
  log_withheld_to_callee_1h: "4 withheld calls to this callee within the hour",
  number_withheld: "the number is withheld",
  profile_fraud_labels: "3 calls of this person are confirmed as fraud",
  number_with_other_fingerprints: "the number has come with another header order before",
  robocall_pattern: "many callees at regular gaps",
  log_caller_distinct_callees: "58 different callees within the hour",
  caller_short_call_share: "71 % of the caller's calls end within seconds",
  stir_attestation_c: "attestation C: the network only passes the call on",
  wangiri_pattern: "rings briefly at many callees",
  caller_answer_share: "4 % of the caller's calls are answered",
  international_call: "caller and callee are in different countries",
  caller_country_risk: "the caller's country has a risk of 0.8",
  irsf_pattern: "answered calls to high-cost ranges",
  callee_high_cost: "the callee is in a high-cost range",
  caller_high_cost_share: "92 % of the caller's calls go to high-cost ranges",
  caller_digits_shared_with_callee: "caller and callee share their first 9 digits",
  fingerprint_new_for_source: "this header order was not seen from this source before",
  tdos_pattern: "many callers of one callee within a minute",
  log_callee_calls_1m: "44 calls to this callee within a minute",
  caller_range_allocated: "the caller's number is in no allocated range",
  user_agent_is_scanner: "User-Agent names a scanning tool",
  caller_length: "the caller's number has 3 digits",
  branch_cookie: "the branch lacks the z9hG4bK cookie",
  source_failure_share: "96 % of the source's calls fail",
  pai_matches_from: "the asserted number is the one shown",
  stir_attestation_a: "attestation A: the network vouches for the number",
  network_number_known: "the network knows the caller's number",
  caller_same_area_as_callee: "caller and callee are of one area",
};
const CALMING = ["pai_matches_from", "stir_attestation_a", "network_number_known", "caller_same_area_as_callee"];
const NAMES = [
  "Alice",
  "Bob Example",
  "Reception",
  "=cmd|' /C calc'!A0",
  "<img src=x onerror=alert(1)>",
  "Your Bank",
  "\u202Eknab ruoY",
  "Front Desk",
  "Dr. Jørgensen",
  "'; DROP TABLE calls; --",
];
export const GROUPS = [
  "identity",
  "number",
  "header",
  "sdp",
  "transport",
  "stir",
  "isup",
  "behaviour",
  "profile",
  "lists",
];

export const level = (score) => (score >= 90 ? "critical" : score >= 70 ? "high" : score >= 40 ? "medium" : "low");
export const RANK = { low: 0, medium: 1, high: 2, critical: 3 };

/** Those who call again and again. */
function people(r) {
  return FAMILIES.flatMap((family) =>
    Array.from({ length: 3 }, () => ({
      family,
      profile: hex(r, 16),
      fingerprint: hex(r, 16),
      country: weighed(r, family.from),
      numbers: Array.from({ length: 1 + Math.floor(r() * 5) }, () => r()),
      callees: Array.from({ length: 2 + Math.floor(r() * 6) }, () => number(r, "GB")),
      trunk: one(r, family.trunks),
    })),
  );
}

/** Makes calls one by one. */
export function maker(seed) {
  const r = random(seed);
  const fraudsters = people(r);
  const prints = Array.from({ length: 14 }, () => hex(r, 16));
  let n = 0;
  return function call(at, fraud = r() < 0.06) {
    n += 1;
    const who = fraud ? one(r, fraudsters) : null;
    const family = who?.family;
    const from = who ? who.country : weighed(r, HONEST_FROM);
    const withheld = family?.name === "number_changer" && r() < 0.6;
    const shown =
      family?.name === "scanner"
        ? one(r, ["100", "1001", "sipvicious"])
        : withheld
          ? "anonymous"
          : number(r, from ?? "GB");
    const trunk = who ? who.trunk : weighed(r, TRUNKS);
    const score = family
      ? Math.round(family.score[0] + r() * (family.score[1] - family.score[0]))
      : Math.floor(r() ** 3 * (r() < 0.04 ? 75 : 38));
    const to = family?.name === "irsf" ? "CU" : "GB";
    const why = family ? family.why : CALMING;
    const reasons = why.map((feature, i) => ({
      feature,
      text: REASONS[feature],
      contribution: +((family ? 1 : -1) * (2.6 - i * 0.55) * (0.6 + 0.6 * r())).toFixed(3),
    }));
    if (family)
      reasons.push({
        feature: CALMING[n % 4],
        text: REASONS[CALMING[n % 4]],
        contribution: -+(0.2 + r() * 0.6).toFixed(3),
      });
    const rule = score >= 90 ? "almost sure" : score >= 70 ? "bank - doubtful" : null;
    const action = score >= 90 ? "reject" : score >= 70 ? "divert" : "tag";
    const address = trunk ? ADDRESSES[trunk] : `203.0.113.${130 + (n % 60)}`;
    const outcome =
      action === "reject"
        ? "rejected"
        : weighed(
            r,
            family
              ? [
                  ["short", 5],
                  ["no_answer", 3],
                  ["cancelled", 3],
                  ["completed", 2],
                ]
              : [
                  ["completed", 12],
                  ["no_answer", 4],
                  ["cancelled", 2],
                  ["short", 1],
                  ["rejected", 1],
                ],
          );
    const talked = outcome === "completed" || outcome === "short";
    const national = from === "GB" && !withheld;
    const tags = family
      ? [...family.tags]
      : [from !== "GB" && "international", national && r() < 0.5 ? "attested" : "unattested"].filter(Boolean);
    return {
      ts: new Date(at).toISOString().replace("Z", "000000Z"),
      call: hex(r, 16),
      call_id: `${hex(r, 20)}@${address}`,
      caller: shown,
      network_number:
        family?.name === "bank_spoof" || family?.name === "neighbour"
          ? number(r, "GB")
          : withheld && r() < 0.5
            ? number(r, "GB")
            : national
              ? shown
              : null,
      callee: who ? one(r, who.callees) : number(r, to),
      caller_country: withheld ? null : from,
      callee_country: to,
      source: `${address}:5060`,
      destination: "192.0.2.1:5060",
      transport: r() < 0.05 ? "tcp" : "udp",
      trunk,
      fingerprint: who ? who.fingerprint : one(r, prints),
      profile: who ? who.profile : hex(r, 16),
      score,
      probability: +(score / 100).toFixed(3),
      level: level(score),
      tags,
      reasons,
      model: "ensemble-2",
      action: "pass",
      rule,
      response: null,
      would: action === "pass" ? null : action,
      dry_run: family?.name === "scanner" ? "drop" : null,
      lists: [],
      outcome,
      code: outcome === "rejected" ? 603 : talked ? 200 : outcome === "cancelled" ? 487 : 480,
      setup_s: talked ? +(1.5 + r() * 9).toFixed(1) : null,
      duration_s: talked ? +(outcome === "short" ? r() * 5 : 10 + r() * 400).toFixed(1) : null,
      label: family && r() < 0.12 ? "fraud" : !family && r() < 0.01 ? "genuine" : null,
      latency_ns: Math.round(5200 + r() * 9000 + (r() < 0.02 ? 60_000 : 0)),
      family: family?.name ?? null,
      display: NAMES[n % NAMES.length],
    };
  };
}

/** Past calls, newest first: many today, fewer before, three weeks back. */
export function past(seed, now, amount = 6_000) {
  const call = maker(seed);
  const r = random(seed + 1);
  const times = Array.from(
    { length: amount },
    () => now - (r() < 0.35 ? r() * 3.6e6 : r() < 0.6 ? r() * 8.64e7 : r() * 21 * 8.64e7),
  );
  return times
    .sort((a, b) => a - b)
    .map((at) => call(at))
    .reverse();
}

/** What an INVITE of this call might look like; the display name is the attacker's to choose. */
export function headers(call) {
  const bad = call.score >= 70;
  const host = call.source.split(":")[0];
  const user = call.caller ?? "anonymous";
  return [
    ["INVITE", `sip:${call.callee}@192.0.2.1 SIP/2.0`, null],
    [
      "Via",
      bad
        ? `SIP/2.0/UDP 10.3.7.12:5060;branch=z9hG4bK-${call.call.slice(0, 6)};rport`
        : `SIP/2.0/UDP ${host}:5060;branch=z9hG4bK${call.call}`,
      bad ? "sent-by is a private address and not the source" : null,
    ],
    ["Max-Forwards", bad ? "17" : "68", bad ? "53 hops used; calls of this trunk use 2" : null],
    [
      "From",
      `"${call.display}" <sip:${user}@${host};user=phone>;tag=${call.call.slice(0, 8)}`,
      call.network_number && call.network_number !== call.caller ? "number differs from P-Asserted-Identity" : null,
    ],
    ["To", `<sip:${call.callee}@192.0.2.1;user=phone>`, null],
    ["Call-ID", call.call_id, null],
    ["CSeq", "1 INVITE", null],
    [
      "Contact",
      bad ? `<sip:${user}@10.3.7.12:38211>` : `<sip:${user}@${host}:5060>`,
      bad ? "private address, port other than 5060" : null,
    ],
    ...(call.network_number ? [["P-Asserted-Identity", `<tel:${call.network_number}>`, null]] : []),
    [
      "User-Agent",
      call.tags.includes("scanner") ? "friendly-scanner" : bad ? "PJSUA v2.10 Linux" : "Oracle SBC SCZ8.4",
      call.tags.includes("scanner") ? "names a scanning tool" : null,
    ],
    ["Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE", null],
    ["Content-Type", "application/sdp", null],
    ["Content-Length", "218", null],
  ].map(([name, value, odd]) => ({ name, value, odd }));
}

export function ladder(call) {
  const t0 = Date.parse(call.ts);
  const at = (s) => new Date(t0 + s * 1000).toISOString();
  const steps = [
    ["caller", "INVITE", 0],
    ["callee", "100", 0.02],
  ];
  if (call.code === 603) steps.push(["callee", "603", 0.03], ["caller", "ACK", 0.05]);
  else {
    steps.push(["callee", "180", 0.4]);
    if (call.code === 200)
      steps.push(
        ["callee", "200", call.setup_s],
        ["caller", "ACK", call.setup_s + 0.03],
        ["either", "BYE", call.setup_s + call.duration_s],
      );
    else if (call.code === 487) steps.push(["caller", "CANCEL", 2.1], ["callee", "487", 2.2], ["caller", "ACK", 2.24]);
    else steps.push(["callee", String(call.code), 21], ["caller", "ACK", 21.1]);
  }
  return steps.map(([from, what, s]) => ({ ts: at(s), from, what }));
}

export function features(call) {
  const r = random(parseInt(call.call.slice(0, 8), 16));
  const known = call.reasons.map((reason) => ({
    name: reason.feature,
    group: reason.feature.includes("stir")
      ? "stir"
      : reason.feature.includes("profile")
        ? "profile"
        : reason.feature.includes("log_") || reason.feature.includes("share") || reason.feature.includes("pattern")
          ? "behaviour"
          : "number",
    text: reason.text,
    odd: reason.contribution > 0.8,
  }));
  const filler = GROUPS.flatMap((group) =>
    Array.from({ length: 9 }, (_, i) => ({
      name: `${group}_example_${i + 1}`,
      group,
      text: `An example of the group ${group}.`,
      odd: r() < (call.score > 60 ? 0.06 : 0.01),
    })),
  );
  return [...known, ...filler].map(({ name, group, text, odd }) => {
    const low = +(r() * 2).toFixed(2);
    const high = +(low + 0.5 + r() * 6).toFixed(2);
    const missing = !odd && r() < 0.15;
    const value = missing ? null : +(odd ? high + (0.4 + r()) * (high - low) : low + r() * (high - low)).toFixed(3);
    return { name, group, value, low, median: +((low + high) / 2).toFixed(2), high, unusual: Boolean(odd), text };
  });
}

/** Eight weeks of days for the trends. */
export function trends(seed, now, unit, since) {
  const r = random(seed + 7);
  const step = unit === "week" ? 7 : 1;
  const days = Math.min(84, Math.ceil((now - since) / 8.64e7));
  const rows = [];
  for (let d = days - (days % step); d >= 0; d -= step) {
    const ts = new Date(Math.floor((now - d * 8.64e7) / 8.64e7) * 8.64e7);
    const weekend = ts.getUTCDay() % 6 === 0 && step === 1 ? 0.6 : 1;
    const calls = Math.round(41_000 * step * weekend * (0.92 + 0.16 * r()));
    const tags = Object.fromEntries(
      [
        ["spoofed", 0.009, 0],
        ["repeat_withheld", 0.006, 0],
        ["robocall", 0.011, 0],
        ["wangiri", 0.004, 35],
        ["irsf", 0.0016, 0],
        ["neighbour", 0.005, 0],
        ["tdos", 0.0007, 0],
        ["scanner", 0.0012, 0],
      ].map(([tag, share, peak]) => [
        tag,
        Math.round(
          calls *
            share *
            (0.8 + 0.4 * r()) *
            (peak && Math.abs(d - peak) < 8 ? 3.2 : 1) *
            (tag === "spoofed" ? 1 + (days - d) / days : 1),
        ),
      ]),
    );
    const high = Math.round(Object.values(tags).reduce((a, b) => a + b, 0) * 0.62);
    const countries = Object.fromEntries(HONEST_FROM.map(([c, w]) => [c, Math.round((calls * w) / 99)]));
    for (const [c, w] of [
      ["TN", 0.003],
      ["NG", 0.002],
      ["LV", 0.0015],
      ["PK", 0.004],
    ])
      countries[c] = Math.round(calls * w * (Math.abs(d - 35) < 8 ? 3 : 1));
    rows.push({
      ts: ts.toISOString(),
      calls,
      high,
      tags,
      countries,
      labels: { fraud: Math.round(high * 0.08 * r()), genuine: Math.round(40 * r()) },
    });
  }
  return rows;
}

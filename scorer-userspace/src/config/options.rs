//! The table of options.
#![expect(clippy::unit_arg, reason = "an assignment is what each of the table's functions does")]

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use scorer_common::verdict::Level;
use toml::Value;

use super::Config;
use crate::{
    api::Role,
    env::{Trunks, prefix},
    inline::Way,
    output::Format,
    share::event::is_name,
    tap::Mode,
    verdict::{
        deliver::Receiver,
        redirect::{is_header_name, is_header_value},
    },
};

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// `section.key`.
    pub key: &'static str,
    /// Default as it would stand in the file; what begins with # is unset.
    pub default: &'static str,
    /// What it does, and what it may be.
    pub doc: &'static str,
    /// Puts a value into the configuration, or says what it may be.
    pub(super) set: fn(&mut Config, &Value) -> Result<(), String>,
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a string".to_owned())
}

fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

/// A name that can stand in a NATS subject.
fn name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    let good = crate::cluster::is_name(name);
    good.then(|| name.to_owned()).ok_or_else(|| "must be 1 to 63 of a–z, 0–9 and -".to_owned())
}

/// Strings of a list.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    let wrong = || "must be a list of strings".to_owned();
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn within(value: &Value, low: i64, high: i64) -> Result<u64, String> {
    value
        .as_integer()
        .filter(|number| (low..=high).contains(number))
        .map(|number| number as u64)
        .ok_or_else(|| format!("must be a whole number from {low} to {high}"))
}

/// So many days; none for 0.
fn days(count: u64) -> Option<Duration> {
    (count > 0).then(|| Duration::from_hours(24 * count))
}

fn listener(value: &Value) -> Result<SocketAddr, String> {
    text(value)?
        .parse()
        .map_err(|_| "must be an address and a port, such as \"127.0.0.1:9464\"".to_owned())
}

/// A level that scores are lifted to; `None` for none.
fn floor(value: &Value) -> Result<Option<Level>, String> {
    match text(value)? {
        "off" => Ok(None),
        name => Level::ALL
            .into_iter()
            .skip(1)
            .find(|level| level.name() == name)
            .map(Some)
            .ok_or_else(|| "must be \"off\", \"medium\", \"high\" or \"critical\"".to_owned()),
    }
}

fn list<'a, T>(
    value: &'a Value,
    each: impl Fn(&'a Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    value.as_array().ok_or_else(|| "must be a list".to_owned())?.iter().map(each).collect()
}

/// Every option, in the order of the file.
pub const OPTIONS: &[Opt] = &[
    Opt {
        key: "tap.interfaces",
        default: "[]",
        doc: "Network interfaces to tap, by name. `-i` on the command line replaces the list.",
        set: |c, v| Ok(c.tap.interfaces = list(v, |v| text(v).map(str::to_owned))?),
    },
    Opt {
        key: "tap.mode",
        default: "\"auto\"",
        doc: "How the XDP program is attached: \"native\" in the driver, \"generic\" in the network stack, \"auto\" native where the driver can.",
        set: |c, v| {
            c.tap.mode = match text(v)? {
                "auto" => Mode::Auto,
                "native" => Mode::Native,
                "generic" => Mode::Generic,
                _ => return Err("must be \"auto\", \"native\" or \"generic\"".into()),
            };
            Ok(())
        },
    },
    Opt {
        key: "tap.sip_ports",
        default: "[5060]",
        doc: "Ports on which SIP is expected. Elsewhere it is recognised by content; messages behind blank lines and TCP flows from their first byte only here.",
        set: |c, v| {
            let ports = list(v, |v| within(v, 1, 65_535).map(|port| port as u16))?;
            c.engine.assembler.sip_ports.clone_from(&ports);
            c.tap.sip_ports = ports;
            Ok(())
        },
    },
    Opt {
        key: "tap.invite_ring_mib",
        default: "16",
        doc: "Size of the kernel's ring for INVITEs, MiB (1–1024), rounded up to a power of two. 16 hold about 13,000 INVITEs.",
        set: |c, v| Ok(c.tap.invite_ring_bytes = (within(v, 1, 1024)? << 20) as u32),
    },
    Opt {
        key: "tap.dialog_ring_mib",
        default: "16",
        doc: "Size of the kernel's ring for other dialog messages, MiB (1–1024).",
        set: |c, v| Ok(c.tap.dialog_ring_bytes = (within(v, 1, 1024)? << 20) as u32),
    },
    Opt {
        key: "tap.cpu",
        default: "# none",
        doc: "CPU the scoring thread is pinned to. Best one that does not serve the interface's interrupts.",
        set: |c, v| Ok(c.tap.cpu = Some(within(v, 0, 1023)? as usize)),
    },
    Opt {
        key: "tap.spin_us",
        default: "200",
        doc: "How long the scoring thread spins on empty rings before it sleeps, µs (0–1,000,000). More means lower latency and more CPU time.",
        set: |c, v| Ok(c.tap.spin = Duration::from_micros(within(v, 0, 1_000_000)?)),
    },
    Opt {
        key: "tap.spin_busy_us",
        default: "5000",
        doc: "The same while INVITEs come at less than half of this from each other (on average), µs: the next one finds the thread awake, which takes a CPU for as long. 0 is never.",
        set: |c, v| Ok(c.tap.spin_busy = Duration::from_micros(within(v, 0, 1_000_000)?)),
    },
    Opt {
        key: "tap.promiscuous",
        default: "true",
        doc: "Receive frames addressed to others, as on a mirror port.",
        set: |c, v| Ok(c.tap.promiscuous = flag(v)?),
    },
    Opt {
        key: "kernel.pins",
        default: "\"/sys/fs/bpf/scorer\"",
        doc: "Folder in a BPF file system where programs and maps are kept over restarts.",
        set: |c, v| Ok(c.inline.pins = text(v)?.into()),
    },
    Opt {
        key: "inline.carrier",
        default: "# none",
        doc: "Interface towards the carrier, for `scorer inline`.",
        set: |c, v| Ok(text(v)?.clone_into(&mut c.inline.carrier)),
    },
    Opt {
        key: "inline.core",
        default: "# none",
        doc: "Interface towards the core; without it the router is on this host.",
        set: |c, v| Ok(c.inline.way = Way::Core(text(v)?.to_owned())),
    },
    Opt {
        key: "inline.header",
        default: "\"X-Call-Risk\"",
        doc: "Name of the risk header. Forged ones from outside are taken out of what passes user space; a name that outsiders cannot guess protects the rest.",
        set: |c, v| {
            let name = text(v)?;
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._!%*+`'~".contains(&byte);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
                return Err("must be the name of a SIP header, such as \"X-Call-Risk\"".into());
            }
            Ok(c.inline.header = name.into())
        },
    },
    Opt {
        key: "inline.call_info",
        default: "# none",
        doc: "Value of Call-Info in 608 responses (RFC 8688): where a caller can object, such as \"<https://example.com/jcard>;purpose=jwscard\".",
        set: |c, v| {
            let value = text(v)?;
            if value.len() > 256 || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return Err("must be printable ASCII of at most 256 characters".into());
            }
            Ok(c.inline.call_info = Some(value.into()))
        },
    },
    Opt {
        key: "inline.observe",
        default: "false",
        doc: "Score and decide, change nothing.",
        set: |c, v| Ok(c.inline.observe = flag(v)?),
    },
    Opt {
        key: "inline.deadline_ms",
        default: "8",
        doc: "How long after its last word the kernel takes the scoring thread for dead and passes INVITEs on, ms (2–1,000).",
        set: |c, v| Ok(c.inline.deadline = Duration::from_millis(within(v, 2, 1_000)?)),
    },
    Opt {
        key: "inline.budget_us",
        default: "2000",
        doc: "How long an INVITE may take from the kernel's stamp until it goes on; one that took longer goes on as it came, µs (100–1,000,000).",
        set: |c, v| Ok(c.inline.budget = Duration::from_micros(within(v, 100, 1_000_000)?)),
    },
    Opt {
        key: "inline.zero_copy_drivers",
        default: "[]",
        doc: "Drivers whose AF_XDP sockets share memory with the card, such as \"ice\". Faster, and some drivers have faults there; others copy.",
        set: |c, v| Ok(c.inline.zero_copy = texts(v)?),
    },
    Opt {
        key: "model.path",
        default: "# built in",
        doc: "ONNX file of the model. Without it the built-in ensemble scores (models/ensemble.md); \"baseline\" is the transparent logistic model that is built in, too (models/baseline.md).",
        set: |c, v| Ok(c.model = Some(text(v)?.into())),
    },
    Opt {
        key: "model.folder",
        default: "# none",
        doc: "Folder of models whose state.toml says which one scores and which is on trial (`scorer model`); watched, changes need no restart. It goes before `model.path`.",
        set: |c, v| Ok(c.models.folder = Some(text(v)?.into())),
    },
    Opt {
        key: "model.challenger",
        default: "# none",
        doc: "ONNX file of a model on trial: it scores a share of calls in the shadow, and metrics say how it compares.",
        set: |c, v| Ok(c.models.challenger = Some(text(v)?.into())),
    },
    Opt {
        key: "model.challenger_percent",
        default: "10",
        doc: "Share of calls that the model on trial scores, per cent (0–100).",
        set: |c, v| Ok(c.models.share = within(v, 0, 100)? as f64 / 100.0),
    },
    Opt {
        key: "labels.path",
        default: "# none",
        doc: "SQLite file that labels of calls are kept in (`scorer label`); `tap` takes new ones up within a second.",
        set: |c, v| Ok(c.labels = Some(text(v)?.into())),
    },
    Opt {
        key: "levels.medium",
        default: "40",
        doc: "Score from which the level is medium (0–100).",
        set: |c, v| Ok(c.engine.levels.medium = within(v, 0, 100)? as u8),
    },
    Opt {
        key: "levels.high",
        default: "70",
        doc: "Score from which the level is high (0–100).",
        set: |c, v| Ok(c.engine.levels.high = within(v, 0, 100)? as u8),
    },
    Opt {
        key: "levels.critical",
        default: "90",
        doc: "Score from which the level is critical (0–100).",
        set: |c, v| Ok(c.engine.levels.critical = within(v, 0, 100)? as u8),
    },
    Opt {
        key: "numbers.home_country",
        default: "# none",
        doc: "Country code (1–999) that national numbers, those with a leading 0, are given.",
        set: |c, v| {
            let country = Some(within(v, 1, 999)? as u16);
            c.records.home = country;
            Ok(c.engine.env.home_country = country)
        },
    },
    Opt {
        key: "numbers.tables",
        default: "[]",
        doc: "CSV files of number ranges, in place of the built-in ones (docs/numbers.md); read again when they change.",
        set: |c, v| Ok(c.engine.env.tables = texts(v)?.into_iter().map(Into::into).collect()),
    },
    Opt {
        key: "lists.files",
        default: "[]",
        doc: "CSV files of allow and deny lists (docs/lists.md); read again when they change.",
        set: |c, v| Ok(c.engine.env.lists = texts(v)?.into_iter().map(Into::into).collect()),
    },
    Opt {
        key: "lists.store",
        default: "# none",
        doc: "SQLite file of allow and deny lists (`scorer list`), beside the files; changes are live within a second.",
        set: |c, v| Ok(c.engine.env.store = Some(text(v)?.into())),
    },
    Opt {
        key: "lists.deny_level",
        default: "\"critical\"",
        doc: "Level that a call of a denied number, range, source, trunk or profile has at least: \"off\", \"medium\", \"high\" or \"critical\".",
        set: |c, v| Ok(c.engine.lists.deny = floor(v)?),
    },
    Opt {
        key: "lists.deny_fingerprint_level",
        default: "\"high\"",
        doc: "The same where nothing but the header fingerprint is denied: others may share it.",
        set: |c, v| Ok(c.engine.lists.deny_fingerprint = floor(v)?),
    },
    Opt {
        key: "lists.allow_caps",
        default: "true",
        doc: "An allowed caller that the signalling does not contradict scores below `levels.medium`.",
        set: |c, v| Ok(c.engine.lists.allow = flag(v)?),
    },
    Opt {
        key: "profiles.mib",
        default: "64",
        doc: "Memory of callers' profiles, MiB (0–16,384), some 80,000 profiles for 64; 0 switches them off, and cases with them (docs/profiles.md).",
        set: |c, v| Ok(c.engine.history.profile_bytes = (within(v, 0, 16_384)? << 20) as usize),
    },
    Opt {
        key: "policy.file",
        default: "# none",
        doc: "Rules that say what is done with calls (TOML, docs/policy.md); read again within a second of a change. Without it every call passes.",
        set: |c, v| Ok(c.engine.env.policy = Some(text(v)?.into())),
    },
    Opt {
        key: "policy.observe",
        default: "false",
        doc: "Decide everything, but act with pass; verdicts show what would have been done.",
        set: |c, v| Ok(c.engine.env.observe = flag(v)?),
    },
    Opt {
        key: "sources.database",
        default: "# none",
        doc: "Database of addresses in MaxMind's format (.mmdb): countries and network kinds of sources.",
        set: |c, v| Ok(c.engine.env.addresses = Some(text(v)?.into())),
    },
    Opt {
        key: "sources.trunks",
        default: "[]",
        doc: "Trunks, such as \"carrier-a 192.0.2.0/24,2001:db8::/32 44,353\": name, addresses, and country codes of usual callers.",
        set: |c, v| {
            let entries = texts(v)?;
            Ok(c.engine.env.trunks = Trunks::parse(entries.iter().map(String::as_str))?)
        },
    },
    Opt {
        key: "stir.anchors",
        default: "# none",
        doc: "PEM file of trust anchors for signatures (the STI-PA's list). Without it no certificate is fetched and no signature checked.",
        set: |c, v| Ok(c.stir.anchors = Some(text(v)?.into())),
    },
    Opt {
        key: "stir.hosts",
        default: "[]",
        doc: "Hosts that certificates are fetched from; empty for any public one. Over HTTPS, at most 64 KiB, within 3 s.",
        set: |c, v| Ok(c.stir.hosts = texts(v)?),
    },
    Opt {
        key: "stir.folder",
        default: "# none",
        doc: "Folder that fetched certificates are kept in over restarts.",
        set: |c, v| Ok(c.stir.folder = Some(text(v)?.into())),
    },
    Opt {
        key: "stir.keep_hours",
        default: "24",
        doc: "Hours that a certificate is used before it is fetched again (1–720).",
        set: |c, v| Ok(c.stir.keep = Duration::from_secs(3_600 * within(v, 1, 720)?)),
    },
    Opt {
        key: "stir.checks_per_second",
        default: "500",
        doc: "Signatures checked in a second at most (0–100,000); each takes some tens of microseconds. Beyond it they count as not checked.",
        set: |c, v| Ok(c.engine.signature_checks = within(v, 0, 100_000)? as u32),
    },
    Opt {
        key: "capture.fragmented_datagrams",
        default: "256",
        doc: "Datagrams being joined from IP fragments at most (1–65,536); the oldest makes room.",
        set: |c, v| Ok(c.engine.assembler.fragmented_datagrams = within(v, 1, 65_536)? as usize),
    },
    Opt {
        key: "capture.fragment_mib",
        default: "16",
        doc: "MiB that all of them together may hold (1–4,096); the oldest makes room.",
        set: |c, v| Ok(c.engine.assembler.fragment_bytes = (within(v, 1, 4096)? as usize) << 20),
    },
    Opt {
        key: "capture.fragment_timeout_ms",
        default: "3000",
        doc: "How long a datagram's fragments are waited for, ms of packet time (1–60,000).",
        set: |c, v| {
            Ok(c.engine.assembler.fragment_timeout = Duration::from_millis(within(v, 1, 60_000)?))
        },
    },
    Opt {
        key: "capture.tcp_flows",
        default: "16384",
        doc: "TCP flows followed at most, each direction one (1–1,048,576).",
        set: |c, v| Ok(c.engine.assembler.tcp_flows = within(v, 1, 1_048_576)? as usize),
    },
    Opt {
        key: "capture.tcp_early_kib",
        default: "256",
        doc: "KiB of one flow that may wait for a missing segment (1–16,384).",
        set: |c, v| Ok(c.engine.assembler.tcp_early_bytes = within(v, 1, 16_384)? as usize * 1024),
    },
    Opt {
        key: "capture.tcp_total_mib",
        default: "64",
        doc: "MiB that all flows together may hold (1–65,536); the oldest idle one makes room.",
        set: |c, v| Ok(c.engine.assembler.tcp_total_bytes = (within(v, 1, 65_536)? as usize) << 20),
    },
    Opt {
        key: "capture.tcp_hole_timeout_ms",
        default: "1000",
        doc: "How long a missing TCP segment is waited for, ms of packet time (1–60,000); senders repeat after 200 ms or more.",
        set: |c, v| {
            Ok(c.engine.assembler.tcp_hole_timeout = Duration::from_millis(within(v, 1, 60_000)?))
        },
    },
    Opt {
        key: "capture.mirror_window_ms",
        default: "100",
        doc: "A datagram that is the same to the byte within this time is a mirrored copy, ms (0 lets all through, at most 400: senders retransmit after 500).",
        set: |c, v| Ok(c.engine.assembler.mirror_window = Duration::from_millis(within(v, 0, 400)?)),
    },
    Opt {
        key: "history.mib",
        default: "256",
        doc: "MiB that the history may take (1–1,048,576); a GiB holds some ten million keys.",
        set: |c, v| Ok(c.engine.history.bytes = (within(v, 1, 1 << 20)? as usize) << 20),
    },
    Opt {
        key: "history.snapshot",
        default: "# none",
        doc: "File that the history is kept in over restarts of `tap`; written every `history.snapshot_minutes` and at the end.",
        set: |c, v| Ok(c.snapshot = Some(text(v)?.into())),
    },
    Opt {
        key: "history.snapshot_minutes",
        default: "10",
        doc: "Minutes between snapshots (1–1,440).",
        set: |c, v| Ok(c.snapshot_every = Duration::from_secs(60 * within(v, 1, 1_440)?)),
    },
    Opt {
        key: "records.folder",
        default: "# none",
        doc: "Folder that every call is recorded in (docs/records.md). Without it nothing is recorded.",
        set: |c, v| Ok(c.records.folder = Some(text(v)?.into())),
    },
    Opt {
        key: "records.features",
        default: "true",
        doc: "Record the value of every feature, too; takes most of the room.",
        set: |c, v| Ok(c.records.features = flag(v)?),
    },
    Opt {
        key: "records.queue",
        default: "16384",
        doc: "Calls that may wait for the disk (256–1,048,576), about 3 kB each; beyond, they are not recorded, and counted.",
        set: |c, v| Ok(c.records.queue = within(v, 256, 1 << 20)? as usize),
    },
    Opt {
        key: "records.keep_days",
        default: "90",
        doc: "Days that records are kept (0–36,500); 0 is for ever.",
        set: |c, v| Ok(c.records.keep = days(within(v, 0, 36_500)?)),
    },
    Opt {
        key: "records.max_gib",
        default: "# none",
        doc: "GiB that records may take (1–1,048,576); the oldest make room.",
        set: |c, v| Ok(c.records.most_bytes = Some(within(v, 1, 1 << 20)? << 30)),
    },
    Opt {
        key: "records.pseudonymise_days",
        default: "0",
        doc: "Days after which pseudonyms take the place of numbers (0–36,500); 0 is never.",
        set: |c, v| Ok(c.records.pseudonymise = days(within(v, 0, 36_500)?)),
    },
    Opt {
        key: "records.hep",
        default: "# off",
        doc: "Address and port of a Homer collector (UDP) that INVITEs and verdicts are sent to as HEP3, such as \"192.0.2.9:9060\"; needs no folder.",
        set: |c, v| {
            Ok(c.records.hep.collector = Some(text(v)?.parse::<SocketAddr>().map_err(|_| {
                "must be an address and a port, such as \"192.0.2.9:9060\"".to_owned()
            })?))
        },
    },
    Opt {
        key: "records.hep_capture_id",
        default: "2001",
        doc: "Id of this capture agent at the collector (0–4,294,967,295).",
        set: |c, v| Ok(c.records.hep.capture_id = within(v, 0, u32::MAX.into())? as u32),
    },
    Opt {
        key: "records.hep_key",
        default: "# none",
        doc: "Key the collector asks for, at most 255 bytes. It travels as it stands.",
        set: |c, v| {
            let key = text(v)?;
            if key.len() > 255 {
                return Err("must have at most 255 bytes".into());
            }
            Ok(c.records.hep.key = Some(key.to_owned()))
        },
    },
    Opt {
        key: "metrics.listen",
        default: "# off",
        doc: "Address and port on which Prometheus metrics are served, such as \"127.0.0.1:9464\".",
        set: |c, v| Ok(c.metrics = Some(listener(v)?)),
    },
    Opt {
        key: "deliver.receivers",
        default: "[]",
        doc: "Receivers of a datagram a verdict (docs/verdicts.md), such as \"unix:/run/router/verdicts json\", \"unix:@name record\", \"udp:127.0.0.1:9000 json\" or \"udp:9000 record\" (loopback): address, and the JSON line or the 64-byte record.",
        set: |c, v| Ok(c.deliver.receivers = list(v, |v| Receiver::parse(text(v)?))?),
    },
    Opt {
        key: "deliver.map",
        default: "# none",
        doc: "Path in a BPF file system, such as \"/sys/fs/bpf/scorer/verdicts\", at which a map from calls to verdicts is pinned (docs/verdict-abi.md). No dot in its last part.",
        set: |c, v| Ok(c.deliver.map = Some(text(v)?.into())),
    },
    Opt {
        key: "deliver.map_entries",
        default: "65536",
        doc: "Calls in that map (64–16,777,216); the least recently used makes room.",
        set: |c, v| Ok(c.deliver.map_entries = within(v, 64, 1 << 24)? as u32),
    },
    Opt {
        key: "deliver.ring",
        default: "# none",
        doc: "File of a ring of verdicts in shared memory, such as \"/dev/shm/scorer-verdicts\" (docs/verdict-abi.md).",
        set: |c, v| Ok(c.deliver.ring = Some(text(v)?.into())),
    },
    Opt {
        key: "deliver.ring_slots",
        default: "4096",
        doc: "Verdicts in that ring (64–1,048,576), rounded up to a power of two; 128 bytes each.",
        set: |c, v| Ok(c.deliver.ring_slots = (within(v, 64, 1 << 20)? as u32).next_power_of_two()),
    },
    Opt {
        key: "deliver.group",
        default: "# none",
        doc: "Group whose members may read map and ring, by name or number.",
        set: |c, v| Ok(c.deliver.group = Some(text(v)?.to_owned())),
    },
    Opt {
        key: "deliver.http",
        default: "# off",
        doc: "Address and port on which verdicts are asked for over HTTP, such as \"127.0.0.1:9465\": GET /v1/calls/CALL-ID/verdict?wait=MS (docs/verdicts.md).",
        set: |c, v| Ok(c.deliver.http = Some(listener(v)?)),
    },
    Opt {
        key: "deliver.http_wait_ms",
        default: "2000",
        doc: "How long an HTTP request may wait for a verdict at most, ms (0–10,000).",
        set: |c, v| Ok(c.deliver.http_wait = Duration::from_millis(within(v, 0, 10_000)?)),
    },
    Opt {
        key: "deliver.recent",
        default: "16384",
        doc: "Verdicts kept for HTTP and the redirect server (64–1,048,576), about 2 kB each.",
        set: |c, v| Ok(c.deliver.recent = within(v, 64, 1 << 20)? as usize),
    },
    Opt {
        key: "redirect.listen",
        default: "# off",
        doc: "Address and UDP port on which a SIP redirect server answers a router's INVITEs, such as \"127.0.0.1:5070\" (docs/verdicts.md).",
        set: |c, v| Ok(c.redirect.listen = Some(listener(v)?)),
    },
    Opt {
        key: "redirect.peers",
        default: "[]",
        doc: "Who may ask the redirect server, such as \"192.0.2.0/28\"; empty for everybody.",
        set: |c, v| {
            Ok(c.redirect.peers = list(v, |v| {
                let peer = text(v)?;
                prefix(peer).ok_or_else(|| format!("`{peer}` is no address or prefix"))
            })?)
        },
    },
    Opt {
        key: "redirect.deadline_ms",
        default: "50",
        doc: "How long the redirect server waits for a verdict before it lets a call go on, ms (1–5,000).",
        set: |c, v| Ok(c.redirect.deadline = Duration::from_millis(within(v, 1, 5_000)?)),
    },
    Opt {
        key: "redirect.allow_code",
        default: "302",
        doc: "Answer to a call that may go on: 302 with the call's URI as Contact, or a code on which the router takes its next route, such as 404 or 503 (300–699).",
        set: |c, v| Ok(c.redirect.allow_code = within(v, 300, 699)? as u16),
    },
    Opt {
        key: "redirect.divert_code",
        default: "302",
        doc: "Answer to a call that is diverted; its Contact is the target (300–399).",
        set: |c, v| Ok(c.redirect.divert_code = within(v, 300, 399)? as u16),
    },
    Opt {
        key: "redirect.reject_code",
        default: "# the policy's: 603, 607 or 608",
        doc: "Answer to a call that is refused (400–699).",
        set: |c, v| Ok(c.redirect.reject_code = Some(within(v, 400, 699)? as u16)),
    },
    Opt {
        key: "redirect.drop_code",
        default: "603",
        doc: "Answer to a call that policy drops: a redirect server must answer (400–699).",
        set: |c, v| Ok(c.redirect.drop_code = within(v, 400, 699)? as u16),
    },
    Opt {
        key: "redirect.contact",
        default: "# the Request-URI",
        doc: "Contact of a call that may go on, {user} being the user called, such as \"sip:{user}@192.0.2.1:5060\".",
        set: |c, v| {
            let value = text(v)?;
            if !is_header_value(value) || value.contains(['<', '>', '"', ' ', ',']) {
                return Err("must be a URI without <, >, quotes, commas and blanks".into());
            }
            Ok(c.redirect.contact = Some(value.into()))
        },
    },
    Opt {
        key: "redirect.header",
        default: "\"X-Call-Risk\"",
        doc: "Name of the risk header in answers.",
        set: |c, v| {
            let name = text(v)?;
            if !is_header_name(name) {
                return Err("must be the name of a SIP header, such as \"X-Call-Risk\"".into());
            }
            Ok(c.redirect.header = name.into())
        },
    },
    Opt {
        key: "redirect.call_info",
        default: "# none",
        doc: "Value of Call-Info in 608 answers (RFC 8688): where a caller can object, such as \"<https://example.com/jcard>;purpose=jwscard\".",
        set: |c, v| {
            let value = text(v)?;
            if !is_header_value(value) {
                return Err("must be printable ASCII of at most 256 characters".into());
            }
            Ok(c.redirect.call_info = Some(value.into()))
        },
    },
    Opt {
        key: "redirect.source",
        default: "\"router\"",
        doc: "Where a call that is asked about comes from: \"router\", who asks; \"via\", the hop that the second Via names, for routers that are proxies.",
        set: |c, v| {
            c.redirect.source_from_via = match text(v)? {
                "router" => false,
                "via" => true,
                _ => return Err("must be \"router\" or \"via\"".into()),
            };
            Ok(())
        },
    },
    Opt {
        key: "api.listen",
        default: "# off",
        doc: "Address and port of the HTTP API and the dashboard, such as \"127.0.0.1:8600\". One that others reach needs TLS. See docs/api.md.",
        set: |c, v| Ok(c.api.listen = Some(listener(v)?)),
    },
    Opt {
        key: "api.socket",
        default: "# off",
        doc: "Unix socket of the API, such as \"/run/scorer/api.sock\"; its owner and root may open it, and are admin.",
        set: |c, v| Ok(c.api.socket = Some(text(v)?.into())),
    },
    Opt {
        key: "api.open_loopback",
        default: "\"no\"",
        doc: "What whoever is on this host may do over a loopback address without a token: \"no\", \"viewer\", \"analyst\" or \"admin\".",
        set: |c, v| {
            c.api.open_loopback = match text(v)? {
                "no" => None,
                name => Some(Role::by_name(name).ok_or_else(|| {
                    "must be \"no\", \"viewer\", \"analyst\" or \"admin\"".to_owned()
                })?),
            };
            Ok(())
        },
    },
    Opt {
        key: "api.tls_cert",
        default: "# off",
        doc: "Certificate chain of the API, PEM. It is read at the start.",
        set: |c, v| Ok(c.api.tls.cert = Some(text(v)?.into())),
    },
    Opt {
        key: "api.tls_key",
        default: "# off",
        doc: "Key of that certificate, PEM.",
        set: |c, v| Ok(c.api.tls.key = Some(text(v)?.into())),
    },
    Opt {
        key: "api.tls_client_ca",
        default: "# off",
        doc: "Certificates of authorities, PEM: clients must have a certificate of one of them, beside their token.",
        set: |c, v| Ok(c.api.tls.client_ca = Some(text(v)?.into())),
    },
    Opt {
        key: "api.rate",
        default: "50",
        doc: "Requests a second of one token, 1 to 10000; twice as many at once.",
        set: |c, v| Ok(c.api.rate = within(v, 1, 10_000)? as u32),
    },
    Opt {
        key: "api.streams",
        default: "32",
        doc: "Live streams at a time, 1 to 200.",
        set: |c, v| Ok(c.api.streams = within(v, 1, 200)? as usize),
    },
    Opt {
        key: "api.memory_mib",
        default: "64",
        doc: "Memory for the last calls with their INVITEs, 1 to 65536 MiB; a call takes some 4 kB.",
        set: |c, v| Ok(c.api.memory = (within(v, 1, 65_536)? << 20) as usize),
    },
    Opt {
        key: "api.queries",
        default: "2",
        doc: "Questions to the records at a time, 1 to 8; each takes a core.",
        set: |c, v| Ok(c.api.queries = within(v, 1, 8)? as usize),
    },
    Opt {
        key: "api.query_seconds",
        default: "10",
        doc: "Seconds that a question to the records may take, 1 to 300.",
        set: |c, v| Ok(c.api.query_time = Duration::from_secs(within(v, 1, 300)?)),
    },
    Opt {
        key: "api.query_mib",
        default: "256",
        doc: "Memory that a question to the records may take for sorting and grouping, 16 to 65536 MiB.",
        set: |c, v| Ok(c.api.query_memory = (within(v, 16, 65_536)? << 20) as usize),
    },
    Opt {
        key: "consortium.folder",
        default: "# off",
        doc: "Folder that `scorer consortium join` made: what other organisations say of callers is followed (docs/consortium.md).",
        set: |c, v| Ok(c.consortium.folder = Some(text(v)?.into())),
    },
    Opt {
        key: "consortium.trust",
        default: "[]",
        doc: "How much members are trusted, per cent, such as \"carrier-b 50\"; 0 is not at all. Others as much as the hub says.",
        set: |c, v| {
            Ok(c.consortium.trust = list(v, |v| {
                let entry = text(v)?;
                let parts = entry.split_once(' ').map(|(name, trust)| (name, trust.trim().parse()));
                match parts {
                    Some((name, Ok(trust))) if trust <= 100 && is_name(name) => {
                        Ok((name.to_owned(), trust))
                    }
                    _ => Err(format!("`{entry}` must be a member and 0 to 100")),
                }
            })?)
        },
    },
    Opt {
        key: "consortium.quorum",
        default: "2",
        doc: "Members that must report a caller before that is strong (list `consortium_strong` in policies), 1 to 128; one of them must confirm it.",
        set: |c, v| Ok(c.consortium.quorum.members = within(v, 1, 128)? as u8),
    },
    Opt {
        key: "consortium.quorum_weight",
        default: "100",
        doc: "What their words must weigh together: trust times confidence of each, per cent, half of it for a suspicion (0–12,800).",
        set: |c, v| Ok(c.consortium.quorum.weight = within(v, 0, 12_800)? as u16),
    },
    Opt {
        key: "consortium.events_per_minute",
        default: "60",
        doc: "Events that a member may send in a minute, and at once (1–100,000); others are refused and counted.",
        set: |c, v| Ok(c.consortium.bounds.per_minute = within(v, 1, 100_000)? as u32),
    },
    Opt {
        key: "consortium.skew_seconds",
        default: "300",
        doc: "How far an event's time may be from when it was sent, either way, s (1–86,400).",
        set: |c, v| Ok(c.consortium.bounds.skew = within(v, 1, 86_400)? * 1_000),
    },
    Opt {
        key: "consortium.longest_days",
        default: "90",
        doc: "Days that an event holds at most, whatever it says (1–3,650).",
        set: |c, v| Ok(c.consortium.bounds.longest = within(v, 1, 3_650)? * 86_400_000),
    },
    Opt {
        key: "consortium.refresh_seconds",
        default: "5",
        doc: "How often the hub is asked for members and keys, s (1–3,600).",
        set: |c, v| Ok(c.consortium.refresh = Duration::from_secs(within(v, 1, 3_600)?)),
    },
    Opt {
        key: "cluster.servers",
        default: "[]",
        doc: "NATS servers through which hosts of one organisation count each other's calls and share lists, labels and cases, such as \"tls://10.0.0.1:4222\", the nearest first; none is no cluster. See docs/cluster.md.",
        set: |c, v| Ok(c.cluster.servers = texts(v)?),
    },
    Opt {
        key: "cluster.name",
        default: "\"scorer\"",
        doc: "Name of the cluster, 1 to 63 of a–z, 0–9, -; several may use the same servers.",
        set: |c, v| Ok(c.cluster.name = name(v)?),
    },
    Opt {
        key: "cluster.host",
        default: "# the system's",
        doc: "Name of this host in the cluster, 1 to 63 of a–z, 0–9, -; no other may have it.",
        set: |c, v| Ok(c.cluster.host = Some(name(v)?)),
    },
    Opt {
        key: "cluster.secret_file",
        default: "# none",
        doc: "File of the secret that all hosts of the cluster have, and nobody else may read; `scorer cluster secret FILE` makes one.",
        set: |c, v| Ok(c.cluster.secret = Some(text(v)?.into())),
    },
    Opt {
        key: "cluster.credentials",
        default: "# none",
        doc: "NATS credentials (a .creds file).",
        set: |c, v| Ok(c.cluster.credentials = Some(text(v)?.into())),
    },
    Opt {
        key: "cluster.tls_ca",
        default: "# the system's",
        doc: "Authority of the NATS servers' certificates, PEM; TLS is required then.",
        set: |c, v| Ok(c.cluster.tls_ca = Some(text(v)?.into())),
    },
    Opt {
        key: "cluster.tls_cert",
        default: "# none",
        doc: "Certificate by which the NATS servers know this host, PEM.",
        set: |c, v| Ok(c.cluster.tls_cert = Some(text(v)?.into())),
    },
    Opt {
        key: "cluster.tls_key",
        default: "# none",
        doc: "Key of that certificate, PEM.",
        set: |c, v| Ok(c.cluster.tls_key = Some(text(v)?.into())),
    },
    Opt {
        key: "cluster.spool",
        default: "# none",
        doc: "Folder for what waits while NATS cannot be had, and for what is known of the others' lists, labels and cases, such as \"/var/lib/scorer/cluster\".",
        set: |c, v| Ok(c.cluster.spool = Some(text(v)?.into())),
    },
    Opt {
        key: "cluster.spool_mib",
        default: "256",
        doc: "What may wait there, MiB (1–1,048,576); then the oldest is dropped and counted.",
        set: |c, v| Ok(c.cluster.spool_bytes = within(v, 1, 1 << 20)? << 20),
    },
    Opt {
        key: "cluster.replicas",
        default: "1",
        doc: "Copies of each stream among the NATS servers (1–5): 3 for a cluster of three. It counts when the stream is made.",
        set: |c, v| Ok(c.cluster.replicas = within(v, 1, 5)? as usize),
    },
    Opt {
        key: "cluster.keep_hours",
        default: "24",
        doc: "How long JetStream keeps counts for hosts that are away, hours (1–168).",
        set: |c, v| Ok(c.cluster.keep = Duration::from_hours(within(v, 1, 168)?)),
    },
    Opt {
        key: "cluster.keep_mib",
        default: "1024",
        doc: "What it keeps of them at most, MiB (16–1,048,576).",
        set: |c, v| Ok(c.cluster.keep_bytes = within(v, 16, 1 << 20)? << 20),
    },
    Opt {
        key: "cluster.records_mib",
        default: "0",
        doc: "Files of records that may wait in JetStream until `scorer cluster archive` has stored them, MiB (16–1,048,576); 0 sends none.",
        set: |c, v| {
            let mib = within(v, 0, 1 << 20)?;
            if (1..16).contains(&mib) {
                return Err("must be 0, or 16 to 1048576".into());
            }
            c.cluster.records_bytes = mib << 20;
            Ok(())
        },
    },
    Opt {
        key: "cluster.skew_ms",
        default: "2000",
        doc: "How far another host's clock may be off before the times of its calls are set right by what it is off, ms (100–60,000).",
        set: |c, v| Ok(c.cluster.skew = Duration::from_millis(within(v, 100, 60_000)?)),
    },
    Opt {
        key: "output.format",
        default: "\"table\"",
        doc: "How verdicts are written: \"table\" or \"jsonl\".",
        set: |c, v| {
            c.style.format = match text(v)? {
                "table" => Format::Table,
                "jsonl" => Format::Jsonl,
                _ => return Err("must be \"table\" or \"jsonl\"".into()),
            };
            Ok(())
        },
    },
    Opt {
        key: "output.mask",
        default: "false",
        doc: "Mask the numbers in verdicts.",
        set: |c, v| Ok(c.style.mask = flag(v)?),
    },
];

fn sections(mut each: impl FnMut(Option<&'static str>, &'static str, &Opt)) {
    let mut section = "";
    for option in OPTIONS {
        let (of, key) = option.key.split_once('.').unwrap_or(("", option.key));
        each((of != section).then_some(of), key, option);
        section = of;
    }
}

/// A file with every option at its default.
pub fn example() -> String {
    let mut text = String::from("# Every option of scorer, at its default.\n");
    sections(|section, key, option| {
        // Writing to a String cannot fail.
        if let Some(section) = section {
            let _ = writeln!(text, "\n[{section}]");
        }
        let _ = writeln!(text, "# {}", option.doc);
        let _ = match option.default.strip_prefix("# ") {
            Some(unset) => writeln!(text, "# {key} = ({unset})"),
            None => writeln!(text, "{key} = {}", option.default),
        };
    });
    text
}

/// docs/configuration.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\nGenerated by `scorer config markdown`; do not edit.\n\n\
         One TOML file, given with `--config`. What stands on the command line wins. Unknown keys \
         are refused. `scorer config check --config FILE` checks a file, `scorer config example` \
         prints one.\n\n| option | default | what |\n|---|---|---|\n",
    );
    for option in OPTIONS {
        let default = option.default.trim_start_matches("# ");
        let _ = writeln!(text, "| `{}` | `{default}` | {} |", option.key, option.doc);
    }
    text
}

//! The gate: allow, deny and rate rules decided before the ring.
//!
//! Source rules and the token bucket come first, since they need no look at the
//! message; fingerprint and number come after the scan. An allow rule shields
//! the call from everything after it.

use aya_ebpf::{helpers::bpf_ktime_get_ns, maps::lpm_trie::Key};
use scorer_common::{
    Counter,
    gate::{
        ALLOW, Bucket, DROP, LIMIT_DROPS, MARK, NUMBER_SEED, Rule, Settings, USE_BUCKETS,
        USE_FINGERPRINT, USE_NUMBER, USE_SOURCE, number_step,
    },
    limits::FRAME,
    record::{GATE_ALLOWED, GATE_DENIED, GATE_LIMITED},
};

use crate::{
    maps::{
        GATE_BUCKETS, GATE_FINGERPRINT, GATE_NUMBER, GATE_SOURCE4, GATE_SOURCE6, InviteScratch,
        SETTINGS,
    },
    sip::Packet,
};

/// What the gate says: bits for the record, or that the packet is dropped.
#[derive(Clone, Copy)]
pub enum Outcome {
    Pass(u8),
    Drop,
}

#[inline(always)]
fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Applies a rule found in a table; `None` when it says nothing.
#[inline(always)]
fn apply(packet: &Packet<'_>, rule: Option<&Rule>, now: u64) -> Option<Outcome> {
    match rule?.action_at(now) {
        ALLOW => {
            packet.counters.add(Counter::GateAllowed);
            Some(Outcome::Pass(GATE_ALLOWED))
        }
        MARK => {
            packet.counters.add(Counter::GateDenied);
            Some(Outcome::Pass(GATE_DENIED))
        }
        DROP => {
            packet.counters.add(Counter::GateDenied);
            packet.counters.add(Counter::GateDropped);
            Some(Outcome::Drop)
        }
        _ => None,
    }
}

/// Source rules and the source's bucket.
#[inline(always)]
pub fn by_source(packet: &Packet<'_>) -> Outcome {
    let Some(settings) = settings() else { return Outcome::Pass(0) };
    if settings.gate & (USE_SOURCE | USE_BUCKETS) == 0 {
        return Outcome::Pass(0);
    }
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    let source = &packet.net.source;
    let mut bits = 0;
    if settings.gate & USE_SOURCE != 0 {
        let rule = if packet.net.family == 4 {
            let [a, b, c, d, ..] = *source;
            GATE_SOURCE4.get(Key::new(32, [a, b, c, d]))
        } else {
            GATE_SOURCE6.get(Key::new(128, *source))
        };
        match apply(packet, rule, now) {
            Some(Outcome::Pass(GATE_DENIED)) => bits = GATE_DENIED,
            Some(outcome) => return outcome,
            None => {}
        }
    }
    if settings.gate & USE_BUCKETS != 0 && !take(source, settings, now) {
        packet.counters.add(Counter::GateLimited);
        if settings.gate & LIMIT_DROPS != 0 {
            packet.counters.add(Counter::GateDropped);
            return Outcome::Drop;
        }
        bits |= GATE_LIMITED;
    }
    Outcome::Pass(bits)
}

#[inline(always)]
fn take(source: &[u8; 16], settings: &Settings, now: u64) -> bool {
    if let Some(bucket) = GATE_BUCKETS.get_ptr_mut(source) {
        // SAFETY: a live map value; other CPUs may write it too, see Bucket::take.
        return unsafe { (*bucket).take(now, settings) };
    }
    let full = Bucket { tokens: settings.bucket_burst.saturating_sub(1), credited: now };
    let _ = GATE_BUCKETS.insert(source, full, 0);
    true
}

/// Fingerprint and number rules, once the message has been scanned. `text` is
/// the offset of the message in the scratch frame.
#[inline(always)]
pub fn by_message(packet: &Packet<'_>, scratch: *const InviteScratch, text: usize) -> Outcome {
    let Some(settings) = settings() else { return Outcome::Pass(0) };
    if settings.gate & (USE_FINGERPRINT | USE_NUMBER) == 0 {
        return Outcome::Pass(0);
    }
    // SAFETY: the helper takes nothing; the scratch is this CPU's live map value.
    let (now, scan) = unsafe { (bpf_ktime_get_ns(), &(*scratch).head.scan) };
    if settings.gate & USE_FINGERPRINT != 0 {
        // SAFETY: the value is copied before anything else can touch the table.
        let rule = unsafe { GATE_FINGERPRINT.get(scan.fingerprint) };
        if let Some(outcome) = apply(packet, rule, now) {
            return outcome;
        }
    }
    if settings.gate & USE_NUMBER != 0 {
        for line in [scan.from, scan.asserted] {
            if line == 0 {
                continue;
            }
            let hash = number_of(scratch, text + line as usize);
            if hash == NUMBER_SEED {
                continue;
            }
            // SAFETY: as above.
            let rule = unsafe { GATE_NUMBER.get(hash) };
            if let Some(outcome) = apply(packet, rule, now) {
                return outcome;
            }
        }
    }
    Outcome::Pass(0)
}

/// Bytes of an identity line looked at.
const LINE: usize = 192;

/// Hash of the digits in the user part of the first sip, sips or tel URI of the
/// line at `start`. A name that contains such text before the URI hides the
/// number from the gate, not from user space.
#[inline(never)]
fn number_of(scratch: *const InviteScratch, start: usize) -> u64 {
    let mut hash = NUMBER_SEED;
    let mut last = 0u32;
    let mut inside = false;
    for i in 0..LINE {
        // SAFETY: the mask keeps the index inside the scratch frame.
        let byte = unsafe {
            (&raw const (*scratch).frame).cast::<u8>().add((start + i) & (FRAME - 1)).read_volatile()
        };
        if byte == b'\n' {
            break;
        }
        if inside {
            if byte == b'@' || byte == b';' || byte == b'>' {
                break;
            }
            hash = number_step(hash, byte);
        } else if byte == b':' {
            let three = last & 0x00ff_ffff;
            // Lower case, last letter lowest: "sip", "ips" of sips, "tel".
            inside = three == 0x0073_6970 || three == 0x0069_7073 || three == 0x0074_656c;
        }
        last = last << 8 | (byte | 0x20) as u32;
    }
    hash
}

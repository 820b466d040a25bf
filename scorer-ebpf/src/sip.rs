//! Recognises SIP and decides what becomes of the packet.

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use scorer_common::{
    Class, Counter,
    classify::{classify, classify_short},
    record::{FRAGMENT_OTHER, FRAGMENT_SIP, FlowKey, FragmentKey, Kind},
};

use crate::{
    counters::Counters,
    ctx::Ctx,
    emit,
    frame::{self, DESTINATION_OPTIONS, TCP, UDP},
    gate::{self, Outcome},
    job::Job,
    maps::{FLOWS, FRAGMENTS, PORTS},
};

/// Handles one frame. `None` means pass.
#[inline(always)]
pub fn handle(ctx: Ctx) -> Option<u32> {
    let counters = Counters::get()?;
    counters.add(Counter::Packets);
    if frame::is_plain_udp_other_than_text(ctx) {
        counters.add(Counter::NotSip);
        return None;
    }
    if let Some(flow) = frame::plain_tcp_other_than_text(ctx, is_sip_port)
        && FLOWS.get_ptr(flow).is_none()
    {
        counters.add(Counter::NotSip);
        return None;
    }
    let job = Job::get()?;
    job.set_kind(NOTHING);
    if decide(ctx, counters, job, true).is_none() {
        return Some(XDP_DROP);
    }
    match job.kind() {
        NOTHING => None,
        INVITE => Some(emit::invite(ctx)),
        _ => Some(emit::dialog(ctx)),
    }
}

/// No record is to be made.
pub const NOTHING: u32 = 0;
pub const INVITE: u32 = Kind::Invite as u32;

/// Looks at the headers and leaves in `job` what is to be emitted. `None` means
/// that the gate, which is only asked where `guarded`, drops the packet.
#[inline(always)]
pub fn decide(ctx: Ctx, counters: Counters, job: Job, guarded: bool) -> Option<()> {
    let Some(decapsulated) = frame::decode(ctx, job) else {
        counters.add(Counter::NotIp);
        return Some(());
    };
    if decapsulated {
        counters.add(Counter::Decapsulated);
    }
    job.set_wrapped(decapsulated as u32);
    let kind = match job.protocol() {
        // The options may stand in the first fragment, before its UDP header.
        UDP | TCP | DESTINATION_OPTIONS if job.fragment_offset() != 0 => {
            later_fragment(counters, job)
        }
        UDP => udp(ctx, counters, job),
        TCP => tcp(ctx, counters, job),
        _ => {
            counters.add(Counter::NotSip);
            NOTHING
        }
    };
    job.set_gate(0);
    job.set_kind(kind);
    if kind == INVITE && guarded {
        match gate::by_source(counters, job) {
            Outcome::Pass(bits) => job.set_gate(bits as u32),
            Outcome::Drop => return None,
        }
    }
    Some(())
}

/// Leaves where the SIP text lies in `job`; false when the headers lie about it.
#[inline(always)]
fn set_text(ctx: Ctx, job: Job, text: usize, end: usize) -> bool {
    let frame = ctx.length() as usize;
    let end = if end < frame { end } else { frame };
    if text > frame::DEEPEST || text > end {
        return false;
    }
    job.set_text(text);
    job.set_text_length(end - text);
    true
}

/// Class of the text, told from its first bytes.
#[inline(always)]
fn class(ctx: Ctx, job: Job) -> Class {
    let (text, length) = (job.text(), job.text_length());
    if length >= 16
        && let Some([first, second]) = frame::read::<[u64; 2]>(ctx, text)
    {
        return classify(u64::from_le(first), u64::from_le(second));
    }
    // Two bytes, though one is looked at: for a comparison of one byte with
    // the end the compiler picks a form that the verifier does not follow.
    match frame::read::<[u8; 2]>(ctx, text) {
        Some([first, _]) if length > 0 => classify_short(first),
        _ => Class::NotSip,
    }
}

#[inline(always)]
fn fragment_key(job: Job) -> FragmentKey {
    FragmentKey {
        source: job.source(),
        destination: job.destination(),
        id: job.id(),
        family: job.family() as u16,
        protocol: job.protocol() as u16,
    }
}

/// Whether SIP is expected on one of these ports (host byte order).
#[inline(always)]
fn is_sip_port(source: u16, destination: u16) -> bool {
    let Some(bitmap) = PORTS.get(0) else { return false };
    let set = |port: u16| bitmap[(port / 64) as usize] >> (port % 64) & 1 != 0;
    set(destination) || set(source)
}

/// A [`Kind`] or [`NOTHING`].
#[inline(never)]
fn udp(ctx: Ctx, counters: Counters, job: Job) -> u32 {
    let header = job.payload();
    let Some([source, destination, length, _]) = frame::read::<[u16; 4]>(ctx, header) else {
        counters.add(Counter::NotSip);
        return NOTHING;
    };
    let first_fragment = job.is_fragment();
    let (stated, end) = (header + u16::from_be(length) as usize, job.end());
    // Only the whole datagram is as long as the UDP header says.
    let end = if first_fragment || stated > end { end } else { stated };
    if !set_text(ctx, job, header + 8, end) {
        counters.add(Counter::NotSip);
        return NOTHING;
    }
    let class = match class(ctx, job) {
        Class::Blank if !is_sip_port(u16::from_be(source), u16::from_be(destination)) => {
            Class::NotSip
        }
        // A keep-alive (RFC 5626 section 3.5.1) and nothing behind it.
        Class::Blank if job.text_length() <= 4 && !first_fragment => Class::OtherSip,
        class => class,
    };
    if first_fragment {
        let wanted = matches!(class, Class::Invite | Class::Dialog | Class::Blank);
        let value = if wanted { FRAGMENT_SIP } else { FRAGMENT_OTHER };
        // A full table evicts; a failed insert costs one datagram its later parts.
        let _ = FRAGMENTS.insert(fragment_key(job), value, 0);
        if wanted {
            counters.add(Counter::Fragments);
            return Kind::Fragment as u32;
        }
    }
    let (counter, kind) = match class {
        Class::Invite => (Counter::Invites, INVITE),
        Class::Dialog => (Counter::Dialogs, Kind::Dialog as u32),
        Class::Blank => (Counter::OtherSip, Kind::Blank as u32),
        Class::OtherSip => (Counter::OtherSip, NOTHING),
        Class::NotSip => (Counter::NotSip, NOTHING),
    };
    counters.add(counter);
    kind
}

const FIN_SYN_RST: u8 = 0x07;

/// A [`Kind`] or [`NOTHING`].
#[inline(never)]
fn tcp(ctx: Ctx, counters: Counters, job: Job) -> u32 {
    let kind = tcp_kind(ctx, job);
    counters.add(match kind {
        NOTHING => Counter::NotSip,
        FRAGMENT => Counter::Fragments,
        _ => Counter::Segments,
    });
    if kind == INVITE {
        counters.add(Counter::Invites);
    }
    kind
}

const FRAGMENT: u32 = Kind::Fragment as u32;

#[inline(always)]
fn tcp_kind(ctx: Ctx, job: Job) -> u32 {
    let header = job.payload();
    let Some([source, destination, _, _, _, _, bits]) = frame::read::<[u16; 7]>(ctx, header) else {
        return NOTHING;
    };
    let ports = [source, destination];
    let [offset, flags] = bits.to_ne_bytes();
    let length = (offset >> 4) as usize * 4;
    if length < 20 || !set_text(ctx, job, header + length, job.end()) {
        return NOTHING;
    }
    let on_port = is_sip_port(u16::from_be(ports[0]), u16::from_be(ports[1]));
    if job.text_length() == 0 && (!on_port || flags & FIN_SYN_RST == 0) {
        return NOTHING;
    }
    let class = class(ctx, job);
    if !on_port && !flow_is_sip(job, ports, class) {
        return NOTHING;
    }
    if job.is_fragment() {
        let _ = FRAGMENTS.insert(fragment_key(job), FRAGMENT_SIP, 0);
        return FRAGMENT;
    }
    if matches!(class, Class::Invite) { INVITE } else { Kind::Segment as u32 }
}

/// Whether a flow on other ports carries SIP: told by a segment that opens with
/// a message, and remembered.
#[inline(always)]
fn flow_is_sip(job: Job, ports: [u16; 2], class: Class) -> bool {
    let key = FlowKey {
        source: job.source(),
        destination: job.destination(),
        ports: (ports[0] as u32) << 16 | ports[1] as u32,
        family: job.family(),
    };
    if matches!(class, Class::Invite | Class::Dialog | Class::OtherSip) {
        let _ = FLOWS.insert(key, 1, 0);
        return true;
    }
    FLOWS.get_ptr(key).is_some()
}

/// A fragment without a transport header: wanted unless its first fragment
/// showed that it is no SIP. Fragments come in any order.
#[inline(never)]
fn later_fragment(counters: Counters, job: Job) -> u32 {
    if let Some(value) = FRAGMENTS.get_ptr(fragment_key(job)) {
        // SAFETY: a map value that the look-up has just given.
        if unsafe { value.read() } == FRAGMENT_OTHER {
            counters.add(Counter::NotSip);
            return NOTHING;
        }
    }
    counters.add(Counter::Fragments);
    FRAGMENT
}

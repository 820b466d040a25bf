//! Recognises SIP and decides what becomes of the packet.

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS}, helpers::bpf_xdp_get_buff_len, programs::XdpContext,
};
use scorer_common::{
    Class, Counter,
    classify::{classify, classify_short},
    record::{FRAGMENT_OTHER, FRAGMENT_SIP, FlowKey, FragmentKey, Kind},
};

use crate::{
    counters::Counters,
    emit,
    frame::{self, Network, TCP, UDP},
    gate::{self, Outcome},
    maps::{FLOWS, FRAGMENTS, PORTS},
};

/// A packet that may be SIP.
pub struct Packet<'a> {
    pub ctx: &'a XdpContext,
    pub counters: Counters,
    pub net: &'a Network,
    /// Offset of the SIP text in the frame.
    pub text: usize,
    /// Its length, bytes.
    pub text_length: usize,
    /// Length of the frame, bytes.
    pub frame_length: u64,
}

/// Handles one frame. `None` means pass.
#[inline(always)]
pub fn handle(ctx: &XdpContext) -> Option<u32> {
    let counters = Counters::get()?;
    counters.add(Counter::Packets);
    let Some((net, decapsulated)) = frame::decode(ctx) else {
        counters.add(Counter::NotIp);
        return None;
    };
    if decapsulated {
        counters.add(Counter::Decapsulated);
    }
    // SAFETY: the context is the kernel's own.
    let frame_length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) };
    let mut packet =
        Packet { ctx, counters, net: &net, text: net.payload, text_length: 0, frame_length };
    match net.protocol {
        UDP | TCP if net.fragment_offset != 0 => later_fragment(&packet),
        UDP => udp(&mut packet),
        TCP => tcp(&mut packet),
        _ => {
            counters.add(Counter::NotSip);
            None
        }
    }
}

impl Packet<'_> {
    /// Sets where the SIP text lies; false when the headers lie about it.
    #[inline(always)]
    fn set_text(&mut self, text: usize, end: usize) -> bool {
        let frame = self.frame_length as usize;
        let end = if end < frame { end } else { frame };
        if text > frame::DEEPEST || text > end {
            return false;
        }
        self.text = text;
        self.text_length = end - text;
        true
    }

    /// Class of the text, told from its first bytes.
    #[inline(always)]
    fn class(&self) -> Class {
        if self.text_length >= 16
            && let Some([first, second]) = frame::read::<[u64; 2]>(self.ctx, self.text)
        {
            return classify(u64::from_le(first), u64::from_le(second));
        }
        classify_short(frame::read::<u8>(self.ctx, self.text).unwrap_or(0))
    }

    #[inline(always)]
    fn fragment_key(&self) -> FragmentKey {
        FragmentKey {
            source: self.net.source,
            destination: self.net.destination,
            id: self.net.id,
            family: self.net.family as u16,
            protocol: self.net.protocol as u16,
        }
    }
}

/// Whether SIP is expected on one of these ports (host byte order).
#[inline(always)]
fn is_sip_port(source: u16, destination: u16) -> bool {
    let Some(bitmap) = PORTS.get(0) else { return false };
    let set = |port: u16| bitmap[(port / 64) as usize] >> (port % 64) & 1 != 0;
    set(destination) || set(source)
}

#[inline(always)]
fn udp(packet: &mut Packet<'_>) -> Option<u32> {
    let counters = packet.counters;
    let Some([source, destination, length, _]) =
        frame::read::<[u16; 4]>(packet.ctx, packet.net.payload)
    else {
        counters.add(Counter::NotSip);
        return None;
    };
    let first_fragment = packet.net.is_fragment();
    let header = packet.net.payload;
    let stated = header + u16::from_be(length) as usize;
    // Only the whole datagram is as long as the UDP header says.
    let end = if first_fragment || stated > packet.net.end { packet.net.end } else { stated };
    if !packet.set_text(header + 8, end) {
        counters.add(Counter::NotSip);
        return None;
    }
    let class = match packet.class() {
        Class::Blank if !is_sip_port(u16::from_be(source), u16::from_be(destination)) => {
            Class::NotSip
        }
        // A keep-alive (RFC 5626 section 3.5.1) and nothing behind it.
        Class::Blank if packet.text_length <= 4 && !first_fragment => Class::OtherSip,
        class => class,
    };
    if first_fragment {
        let wanted = matches!(class, Class::Invite | Class::Dialog | Class::Blank);
        let value = if wanted { FRAGMENT_SIP } else { FRAGMENT_OTHER };
        // A full table evicts; a failed insert costs one datagram its later parts.
        let _ = FRAGMENTS.insert(packet.fragment_key(), value, 0);
        if wanted {
            counters.add(Counter::Fragments);
            // Of a message seen in parts only its source is known to the gate.
            if matches!(class, Class::Invite)
                && let Outcome::Drop = gate::by_source(packet)
            {
                return Some(XDP_DROP);
            }
            return emit::dialog(packet, Kind::Fragment);
        }
    }
    match class {
        Class::Invite => invite(packet),
        Class::Dialog => {
            counters.add(Counter::Dialogs);
            emit::dialog(packet, Kind::Dialog)
        }
        Class::Blank => {
            counters.add(Counter::OtherSip);
            emit::dialog(packet, Kind::Blank)
        }
        Class::OtherSip => {
            counters.add(Counter::OtherSip);
            None
        }
        Class::NotSip => {
            counters.add(Counter::NotSip);
            None
        }
    }
}

#[inline(always)]
fn invite(packet: &Packet<'_>) -> Option<u32> {
    packet.counters.add(Counter::Invites);
    emit::invite(packet)
}

const FIN_SYN_RST: u8 = 0x07;

#[inline(always)]
fn tcp(packet: &mut Packet<'_>) -> Option<u32> {
    let counters = packet.counters;
    let header = packet.net.payload;
    let (Some(ports), Some([offset, flags])) = (
        frame::read::<[u16; 2]>(packet.ctx, header),
        frame::read::<[u8; 2]>(packet.ctx, header + 12),
    ) else {
        counters.add(Counter::NotSip);
        return None;
    };
    let length = (offset >> 4) as usize * 4;
    if length < 20 || !packet.set_text(header + length, packet.net.end) {
        counters.add(Counter::NotSip);
        return None;
    }
    let on_port = is_sip_port(u16::from_be(ports[0]), u16::from_be(ports[1]));
    if packet.text_length == 0 && (!on_port || flags & FIN_SYN_RST == 0) {
        counters.add(Counter::NotSip);
        return None;
    }
    let class = packet.class();
    if !on_port && !flow_is_sip(packet, ports, class) {
        counters.add(Counter::NotSip);
        return None;
    }
    if packet.net.is_fragment() {
        let _ = FRAGMENTS.insert(packet.fragment_key(), FRAGMENT_SIP, 0);
        counters.add(Counter::Fragments);
        return emit::dialog(packet, Kind::Fragment);
    }
    counters.add(Counter::Segments);
    if matches!(class, Class::Invite) { invite(packet) } else { emit::dialog(packet, Kind::Segment) }
}

/// Whether a flow on other ports carries SIP: told by a segment that opens with
/// a message, and remembered.
#[inline(always)]
fn flow_is_sip(packet: &Packet<'_>, ports: [u16; 2], class: Class) -> bool {
    let key = FlowKey {
        source: packet.net.source,
        destination: packet.net.destination,
        ports: (ports[0] as u32) << 16 | ports[1] as u32,
        family: packet.net.family as u32,
    };
    if matches!(class, Class::Invite | Class::Dialog | Class::OtherSip) {
        let _ = FLOWS.insert(key, 1, 0);
        return true;
    }
    FLOWS.get_ptr(key).is_some()
}

/// A fragment without a transport header: wanted unless its first fragment
/// showed that it is no SIP. Fragments come in any order.
#[inline(always)]
fn later_fragment(packet: &Packet<'_>) -> Option<u32> {
    if let Some(value) = FRAGMENTS.get_ptr(packet.fragment_key()) {
        // SAFETY: a map value that the look-up has just given.
        if unsafe { value.read() } == FRAGMENT_OTHER {
            packet.counters.add(Counter::NotSip);
            return None;
        }
    }
    packet.counters.add(Counter::Fragments);
    emit::dialog(packet, Kind::Fragment)
}

/// What the program answers when nothing speaks against the packet.
pub const PASS: Option<u32> = Some(XDP_PASS);

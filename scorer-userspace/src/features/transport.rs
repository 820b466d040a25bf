//! The packet that carried the message.

use super::{Call, Vector, context::address, flag, id, maybe};
use crate::capture::Transport;

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let meta = call.meta;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::SOURCE_PORT_IS_SIP, flag(matches!(meta.source.port(), 5060 | 5061)));
    set(id::TTL_HOPS, f32::from(initial_ttl(meta.ttl) - meta.ttl));
    set(id::UDP_CHECKSUM_ZERO, maybe(meta.udp_checksum_zero));
    set(id::PACKET_LENGTH, call.message.bytes().len() as f32);
    set(id::PACKETS, f32::from(meta.packets));
    set(id::TRANSPORT_TCP, flag(meta.transport == Transport::Tcp));
    let claimed = call.parts.via.and_then(|via| address(via.host));
    set(id::SOURCE_VIA_DIFFERS, maybe(claimed.map(|claimed| claimed != meta.source.ip())));
}

/// The value the sender's stack started from.
const fn initial_ttl(ttl: u8) -> u8 {
    match ttl {
        0..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        _ => 255,
    }
}

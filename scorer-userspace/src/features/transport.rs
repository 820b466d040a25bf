//! The packet that carried the message.

use std::net::IpAddr;

use super::{Call, Vector, flag, id, maybe};
use crate::capture::Transport;

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let meta = call.meta;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::SOURCE_KNOWN_TRUNK, maybe(call.env.trunks.known(call.place.trunk)));
    set(id::SOURCE_PORT, f32::from(meta.source.port()) / 1_000.0);
    set(id::SOURCE_PORT_IS_SIP, flag(matches!(meta.source.port(), 5060 | 5061)));
    set(id::SOURCE_COUNTRY, call.place.country_number());
    set(id::SOURCE_NETWORK_KIND, call.place.kind_number());
    set(id::TTL_HOPS, f32::from(initial_ttl(meta.ttl) - meta.ttl));
    set(id::DSCP, f32::from(meta.dscp));
    set(id::IP_ID_ZERO, maybe(meta.ip_id.map(|id| id == 0)));
    set(id::DONT_FRAGMENT, maybe(meta.ip_id.map(|_| meta.dont_fragment)));
    set(id::UDP_CHECKSUM_ZERO, maybe(meta.udp_checksum_zero));
    set(id::PACKET_LENGTH, call.message.bytes().len() as f32);
    set(id::PACKETS, f32::from(meta.packets));
    set(id::TRANSPORT_TCP, flag(meta.transport == Transport::Tcp));
    set(id::TRANSPORT_IPV6, flag(meta.source.is_ipv6()));
    set(id::VLAN, meta.vlan.map_or(f32::NAN, f32::from));
    set(id::TUNNELLED, flag(meta.tunnelled));
    set(id::TCP_REUSED, maybe(meta.stream_messages.map(|before| before > 0)));
    let differs = |claimed: Option<IpAddr>| maybe(claimed.map(|ip| ip != meta.source.ip()));
    set(id::SOURCE_VIA_DIFFERS, differs(call.parts.via_address));
    set(id::SOURCE_CONTACT_DIFFERS, differs(call.parts.contact_address));
}

/// The value the sender's stack started from.
pub(super) const fn initial_ttl(ttl: u8) -> u8 {
    match ttl {
        0..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        _ => 255,
    }
}

//! From frames to SIP messages.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use scorer_common::{Class, Scan, classify::classify_bytes, limits::PortBitmap};

use super::{
    Frame, PacketMeta, SipPacket, Transport,
    decode::{self, DESTINATION_OPTIONS, Ip, TCP, UDP},
    dedup::Deduplicator,
    defrag::{Defragmenter, Outcome},
    tcp::{Bounds, Reassembler},
};
use crate::time::Timestamp;

/// Bounds and ports.
#[derive(Clone, Debug)]
pub struct AssemblerConfig {
    /// Ports on which SIP is expected; elsewhere it must show by content.
    pub sip_ports: Vec<u16>,
    /// Datagrams being joined from fragments at most.
    pub fragmented_datagrams: usize,
    /// Bytes that all of them together may hold.
    pub fragment_bytes: usize,
    /// How long a datagram's fragments are waited for.
    pub fragment_timeout: Duration,
    /// TCP flows (one direction each) followed at most.
    pub tcp_flows: usize,
    /// Bytes of one flow that may wait for a missing segment.
    pub tcp_early_bytes: usize,
    /// Bytes that all flows together may hold.
    pub tcp_total_bytes: usize,
    /// How long a missing segment is waited for. A sender repeats a lost one after
    /// 200 ms or more (RFC 6298); one that only the mirror lost never comes.
    pub tcp_hole_timeout: Duration,
    /// A datagram that is the same to the byte within this time is a mirrored
    /// copy; zero lets all through.
    pub mirror_window: Duration,
    /// Whether mirrored copies are told with a secret, as against senders who would
    /// make other messages look like copies. Without, every run gives the same.
    pub secret: bool,
}

impl Default for AssemblerConfig {
    fn default() -> Self {
        Self {
            sip_ports: vec![5060],
            fragmented_datagrams: 256,
            fragment_bytes: 16 << 20,
            fragment_timeout: Duration::from_secs(3),
            tcp_flows: 16_384,
            tcp_early_bytes: 256 << 10,
            tcp_total_bytes: 64 << 20,
            tcp_hole_timeout: Duration::from_secs(1),
            mirror_window: Duration::from_millis(100),
            secret: false,
        }
    }
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// What became of the frames, counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct AssemblerStats { $($(#[doc = $doc])+ pub $name: u64),+ }

        impl AssemblerStats {
            /// Every counter: name, what it counts, value.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+), self.$name)),+].into_iter()
            }
        }
    };
}

stats! {
    /// Frames taken.
    frames,
    /// Frames that carry no IP, or whose headers are cut short.
    not_ip,
    /// IP packets that are no SIP.
    not_sip,
    /// SIP messages handed on: INVITEs and what tells how calls go.
    messages,
    /// Other SIP messages: REGISTER, OPTIONS, 100 Trying and the like.
    other_sip,
    /// Mirrored copies left out.
    mirrored,
    /// IP fragments taken.
    fragments,
    /// Fragments that lie about their place or disagree with others.
    fragments_refused,
    /// Datagrams given up since fragments were missing or too many under way.
    datagrams_expired,
    /// TCP segments of SIP flows that brought nothing new.
    tcp_repeated,
    /// Holes in TCP flows given up.
    tcp_gaps,
    /// Places in TCP flows where no message could be made out.
    tcp_unframed,
    /// TCP flows given up to make room.
    tcp_evicted,
}

/// Decodes frames, joins fragments and TCP segments, removes mirrored copies.
/// Memory is bounded by its configuration whatever the frames hold.
#[derive(Debug)]
pub struct Assembler {
    ports: Box<PortBitmap>,
    fragments: Defragmenter,
    streams: Reassembler,
    mirrors: Deduplicator,
    stats: AssemblerStats,
}

impl Assembler {
    /// An assembler that has seen nothing.
    pub fn new(config: &AssemblerConfig) -> Self {
        let mut ports = Box::new([0u64; 1024]);
        for port in &config.sip_ports {
            ports[usize::from(port / 64)] |= 1 << (port % 64);
        }
        Self {
            ports,
            fragments: Defragmenter::new(
                config.fragmented_datagrams,
                config.fragment_bytes,
                config.fragment_timeout,
            ),
            streams: Reassembler::new(Bounds {
                flows: config.tcp_flows,
                early_bytes: config.tcp_early_bytes,
                total_bytes: config.tcp_total_bytes,
                hole: config.tcp_hole_timeout,
            }),
            mirrors: Deduplicator::new(config.mirror_window, config.secret),
            stats: AssemblerStats::default(),
        }
    }

    /// Takes one frame and calls `each` for every SIP message it completes.
    pub fn push(&mut self, frame: &Frame<'_>, each: &mut dyn FnMut(&SipPacket<'_>)) {
        self.stats.frames += 1;
        let Some(ip) = decode::decode(frame) else {
            self.stats.not_ip += 1;
            return;
        };
        let Some(fragment) = ip.fragment else {
            return self.transport(&ip, ip.payload, 1, frame, frame.scan, each);
        };
        if !matches!(ip.protocol, UDP | TCP | DESTINATION_OPTIONS) {
            self.stats.not_sip += 1;
            return;
        }
        self.stats.fragments += 1;
        match self.fragments.push(&ip, fragment, frame.timestamp) {
            Outcome::Whole(joined) => {
                let whole = Ip { payload: &joined.payload, ttl: joined.ttl, fragment: None, ..ip };
                match decode::joined(whole) {
                    Some(inner) if inner.fragment.is_none() => {
                        self.transport(&inner, inner.payload, joined.parts, frame, None, each);
                    }
                    _ => self.stats.not_sip += 1,
                }
            }
            Outcome::Kept => {}
            Outcome::Refused => self.stats.fragments_refused += 1,
        }
    }

    /// Hands on the messages behind segments that were waited for too long: call it
    /// about every [`AssemblerConfig::tcp_hole_timeout`], with the time now, for
    /// flows that have fallen silent; with `None` at the end of a capture.
    pub fn settle(&mut self, now: Option<Timestamp>, each: &mut dyn FnMut(&SipPacket<'_>)) {
        let stats = &mut self.stats;
        self.streams.settle(now, &mut |bytes, meta| from_stream(stats, bytes, meta, None, each));
    }

    /// Counters since the start.
    pub fn stats(&self) -> AssemblerStats {
        let tcp = self.streams.stats;
        AssemblerStats {
            datagrams_expired: self.fragments.expired,
            tcp_repeated: tcp.repeated,
            tcp_gaps: tcp.gaps,
            tcp_unframed: tcp.unframed,
            tcp_evicted: tcp.evicted,
            ..self.stats
        }
    }

    fn transport(
        &mut self,
        ip: &Ip<'_>,
        payload: &[u8],
        packets: u16,
        frame: &Frame<'_>,
        scan: Option<&Scan>,
        each: &mut dyn FnMut(&SipPacket<'_>),
    ) {
        let Some([a, b, c, d]) = payload.first_chunk::<4>() else {
            self.stats.not_sip += 1;
            return;
        };
        let (source, destination) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        let at = |address: IpAddr, port| SocketAddr::new(address, port);
        let mut meta = PacketMeta {
            timestamp: frame.timestamp,
            source: at(ip.source, source),
            destination: at(ip.destination, destination),
            transport: Transport::Udp,
            ttl: ip.ttl,
            dscp: ip.dscp,
            ip_id: ip.id,
            dont_fragment: ip.dont_fragment,
            udp_checksum_zero: None,
            packets,
            stream_messages: None,
            vlan: ip.vlan,
            tunnelled: ip.tunnelled,
        };
        let on_port = self.is_sip_port(source) || self.is_sip_port(destination);
        match ip.protocol {
            UDP => self.udp(&mut meta, payload, on_port, scan, each),
            TCP => {
                meta.transport = Transport::Tcp;
                self.tcp(&meta, payload, on_port, scan, each);
            }
            _ => self.stats.not_sip += 1,
        }
    }

    fn is_sip_port(&self, port: u16) -> bool {
        self.ports[usize::from(port / 64)] >> (port % 64) & 1 != 0
    }

    fn udp(
        &mut self,
        meta: &mut PacketMeta,
        datagram: &[u8],
        on_port: bool,
        scan: Option<&Scan>,
        each: &mut dyn FnMut(&SipPacket<'_>),
    ) {
        let Some(header) = datagram.first_chunk::<8>() else {
            self.stats.not_sip += 1;
            return;
        };
        let stated = usize::from(u16::from_be_bytes([header[4], header[5]]));
        meta.udp_checksum_zero = Some(header[6] == 0 && header[7] == 0);
        // Ethernet pads short frames; what the length leaves out is not the
        // message's. A length beyond the packet is a cut or a lie: take what is there.
        let Some(mut text) = datagram.get(8..stated.min(datagram.len())) else {
            self.stats.not_sip += 1;
            return;
        };
        let mut class = classify_bytes(text);
        let mut scan = scan;
        if class == Class::Blank && on_port {
            let blank = text.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            text = &text[blank..];
            scan = None;
            // A keep-alive (RFC 5626 section 3.5.1) has nothing behind it.
            class = if text.is_empty() { Class::OtherSip } else { classify_bytes(text) };
        }
        match class {
            Class::Invite | Class::Dialog => {
                if self.mirrors.is_copy(meta, text) {
                    self.stats.mirrored += 1;
                    return;
                }
                self.stats.messages += 1;
                each(&SipPacket { bytes: text, meta: *meta, scan });
            }
            Class::OtherSip => self.stats.other_sip += 1,
            Class::Blank | Class::NotSip => self.stats.not_sip += 1,
        }
    }

    fn tcp(
        &mut self,
        meta: &PacketMeta,
        segment: &[u8],
        on_port: bool,
        scan: Option<&Scan>,
        each: &mut dyn FnMut(&SipPacket<'_>),
    ) {
        let Ok(header) = etherparse::TcpHeaderSlice::from_slice(segment) else {
            self.stats.not_sip += 1;
            return;
        };
        let payload = &segment[header.slice().len()..];
        let flags = segment[13];
        let stats = &mut self.stats;
        self.streams.push(
            meta,
            header.sequence_number(),
            flags,
            payload,
            on_port,
            &mut |bytes, meta| {
                // The kernel scanned the segment: the same text only when the
                // message is all of it.
                let scan = scan.filter(|_| std::ptr::eq(bytes, payload));
                from_stream(stats, bytes, meta, scan, each);
            },
        );
    }
}

fn from_stream(
    stats: &mut AssemblerStats,
    bytes: &[u8],
    meta: &PacketMeta,
    scan: Option<&Scan>,
    each: &mut dyn FnMut(&SipPacket<'_>),
) {
    match classify_bytes(bytes) {
        Class::Invite | Class::Dialog => {
            stats.messages += 1;
            each(&SipPacket { bytes, meta: *meta, scan });
        }
        _ => stats.other_sip += 1,
    }
}

#[cfg(test)]
mod tests;

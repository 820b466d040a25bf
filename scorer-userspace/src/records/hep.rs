//! HEP3 to a Homer collector: the INVITE of every call as it stands, and its verdict as
//! a log line of the same call.
//!
//! A packet is `HEP3`, its length, and chunks of vendor, type, length and value, all in
//! network order ("HEP/EEP: Extensible Encapsulation protocol", rev. 36, sipcapture).
//! What does not fit the queue, or the socket, is dropped and counted.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rtrb::{Consumer, Producer, RingBuffer};

use super::{
    RecordsError,
    stats::{Stats, add},
};
use crate::{
    capture::Transport,
    engine::Assessment,
    output::{Style, json_line},
};

/// Where to, and as whom.
#[derive(Clone, Debug)]
pub struct HepConfig {
    /// Collector (UDP); `None` sends nothing.
    pub collector: Option<SocketAddr>,
    /// Capture agent's id (chunk 0x000c).
    pub capture_id: u32,
    /// Key the collector may ask for (chunk 0x000e).
    pub key: Option<String>,
}

impl Default for HepConfig {
    fn default() -> Self {
        Self { collector: None, capture_id: 2_001, key: None }
    }
}

/// What a payload is (chunk 0x000b).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    /// SIP.
    Sip = 1,
    /// A log line; JSON here.
    Log = 100,
}

/// What one packet tells.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Sender of the SIP message.
    pub source: SocketAddr,
    /// Its receiver.
    pub destination: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// When it was seen, ns since 1970.
    pub time: u64,
    /// What the payload is.
    pub protocol: Protocol,
    /// Call-ID, by which a collector puts packets together.
    pub correlation: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

/// Bytes of a packet at most: what a UDP datagram takes.
const LARGEST: usize = 65_507;

/// Writes a packet to `out`; false, and nothing, when it is too large.
pub fn encode(packet: &Packet<'_>, config: &HepConfig, out: &mut Vec<u8>) -> bool {
    out.clear();
    if packet.payload.len() > LARGEST || packet.correlation.len() > LARGEST {
        return false;
    }
    out.extend_from_slice(b"HEP3\0\0");
    let mut chunk = |kind: u16, value: &[u8]| {
        // Vendor 0: the protocol's own chunks.
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&((value.len() + 6) as u16).to_be_bytes());
        out.extend_from_slice(value);
    };
    match (packet.source.ip(), packet.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            chunk(0x01, &[2]);
            chunk(0x03, &source.octets());
            chunk(0x04, &destination.octets());
        }
        (source, destination) => {
            let six = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            chunk(0x01, &[10]);
            chunk(0x05, &six(source).octets());
            chunk(0x06, &six(destination).octets());
        }
    }
    let ip_protocol = match packet.transport {
        Transport::Udp => 17,
        Transport::Tcp => 6,
    };
    chunk(0x02, &[ip_protocol]);
    chunk(0x07, &packet.source.port().to_be_bytes());
    chunk(0x08, &packet.destination.port().to_be_bytes());
    chunk(0x09, &((packet.time / 1_000_000_000) as u32).to_be_bytes());
    chunk(0x0a, &((packet.time % 1_000_000_000 / 1_000) as u32).to_be_bytes());
    chunk(0x0b, &[packet.protocol as u8]);
    chunk(0x0c, &config.capture_id.to_be_bytes());
    if let Some(key) = &config.key {
        chunk(0x0e, key.as_bytes());
    }
    chunk(0x11, packet.correlation);
    chunk(0x0f, packet.payload);
    let length = out.len();
    if length > LARGEST {
        out.clear();
        return false;
    }
    out[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    true
}

/// Calls that may wait for the sender.
const QUEUE: usize = 1_024;
/// Bytes of an INVITE, and of a verdict's line, that there is room for. A longer INVITE
/// is not sent.
const ROOM: usize = 8 << 10;
const NAP: Duration = Duration::from_millis(10);

/// A call on its way.
#[derive(Debug)]
struct Slot {
    source: SocketAddr,
    destination: SocketAddr,
    transport: Transport,
    time: u64,
    call_id: Vec<u8>,
    invite: Vec<u8>,
    line: Vec<u8>,
}

/// The scoring thread's end: copies a call, never waits.
#[derive(Debug)]
pub struct Exporter {
    free: Consumer<Box<Slot>>,
    full: Producer<Box<Slot>>,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Begins to send; `None` without a collector. Packets are counted in `stats`.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn start(config: &HepConfig, stats: Arc<Stats>) -> Result<Option<Self>, RecordsError> {
        let Some(collector) = config.collector else { return Ok(None) };
        let failed = |source| RecordsError::Hep { address: collector, source };
        let any: IpAddr = if collector.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0)).map_err(failed)?;
        socket.connect(collector).map_err(failed)?;
        // A datagram that the kernel has no room for is dropped like any other.
        socket.set_nonblocking(true).map_err(failed)?;
        let (mut slots, free) = RingBuffer::new(QUEUE);
        let (full, filled) = RingBuffer::new(QUEUE);
        for _ in 0..QUEUE {
            let _ = slots.push(Box::new(Slot {
                source: collector,
                destination: collector,
                transport: Transport::Udp,
                time: 0,
                call_id: Vec::with_capacity(ROOM),
                invite: Vec::with_capacity(ROOM),
                line: Vec::with_capacity(ROOM),
            }));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (config, thread_stop, thread_stats) =
            (config.clone(), Arc::clone(&stop), Arc::clone(&stats));
        let thread = thread::Builder::new()
            .name("hep".into())
            .spawn(move || send(&socket, &config, filled, slots, &thread_stats, &thread_stop))
            .map_err(failed)?;
        Ok(Some(Self { free, full, stats, stop, thread }))
    }

    /// Takes a call.
    pub fn call(&mut self, a: &Assessment<'_>, latency: Option<u64>) {
        // A line repeats what is in the INVITE; with room to spare for what is escaped.
        if a.message.len() > ROOM {
            self.stats.hep_dropped.fetch_add(2, Ordering::Relaxed);
            return;
        }
        let Ok(mut slot) = self.free.pop() else {
            self.stats.hep_dropped.fetch_add(2, Ordering::Relaxed);
            return;
        };
        slot.source = a.meta.source;
        slot.destination = a.meta.destination;
        slot.transport = a.meta.transport;
        slot.time = a.verdict.timestamp;
        for (copy, bytes) in [(&mut slot.call_id, a.call_id), (&mut slot.invite, a.message)] {
            copy.clear();
            copy.extend_from_slice(bytes);
        }
        slot.line.clear();
        json_line(a, Style::default(), latency, &mut slot.line);
        // There is room: the slots are as many as the queue is long.
        let _ = self.full.push(slot);
    }

    /// Waits until what waits is sent.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            log::error!("the thread that sends HEP panicked");
        }
    }
}

fn send(
    socket: &UdpSocket,
    config: &HepConfig,
    mut full: Consumer<Box<Slot>>,
    mut free: Producer<Box<Slot>>,
    stats: &Stats,
    stop: &AtomicBool,
) {
    let mut out = Vec::with_capacity(LARGEST);
    let mut told = false;
    loop {
        let stopping = stop.load(Ordering::Acquire);
        let Ok(slot) = full.pop() else {
            if stopping {
                return;
            }
            thread::sleep(NAP);
            continue;
        };
        // Without its line feed.
        let line = slot.line.strip_suffix(b"\n").unwrap_or(&slot.line);
        for (protocol, payload) in [(Protocol::Sip, &slot.invite[..]), (Protocol::Log, line)] {
            let packet = Packet {
                source: slot.source,
                destination: slot.destination,
                transport: slot.transport,
                time: slot.time,
                protocol,
                correlation: &slot.call_id,
                payload,
            };
            let result = if encode(&packet, config, &mut out) {
                socket.send(&out).map(|_| ())
            } else {
                Err(io::Error::from(io::ErrorKind::FileTooLarge))
            };
            match result {
                Ok(()) => add(&stats.hep_sent, 1),
                Err(error) => {
                    stats.hep_dropped.fetch_add(1, Ordering::Relaxed);
                    if !told {
                        log::warn!("HEP packets are lost: {error}; counted from here on");
                    }
                    told = true;
                }
            }
        }
        let _ = free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, sync::Arc, time::Duration};

    use super::{Exporter, HepConfig, LARGEST, Packet, Protocol, encode};
    use crate::{
        capture::Transport,
        records::{stats::Stats, testing::Call},
    };

    fn packet<'a>(source: &str, payload: &'a [u8]) -> Packet<'a> {
        Packet {
            source: source.parse().unwrap(),
            destination: "198.51.100.2:5080".parse().unwrap(),
            transport: Transport::Udp,
            time: 1_760_000_000_123_456_789,
            protocol: Protocol::Sip,
            correlation: b"c1",
            payload,
        }
    }

    #[test]
    fn every_byte_is_where_the_specification_says() {
        let config = HepConfig { capture_id: 0x0102, key: Some("k".into()), ..Default::default() };
        let mut out = Vec::new();
        assert!(encode(&packet("192.0.2.1:5060", b"INVITE"), &config, &mut out));
        let expected = [
            &b"HEP3\x00\x78"[..],
            b"\0\0\0\x01\0\x07\x02",             // family: IPv4
            b"\0\0\0\x03\0\x0a\xc0\0\x02\x01",   // source address
            b"\0\0\0\x04\0\x0a\xc6\x33\x64\x02", // destination address
            b"\0\0\0\x02\0\x07\x11",             // UDP
            b"\0\0\0\x07\0\x08\x13\xc4",         // source port
            b"\0\0\0\x08\0\x08\x13\xd8",         // destination port
            b"\0\0\0\x09\0\x0a\x68\xe7\x78\0",   // seconds
            b"\0\0\0\x0a\0\x0a\0\x01\xe2\x40",   // microseconds
            b"\0\0\0\x0b\0\x07\x01",             // SIP
            b"\0\0\0\x0c\0\x0a\0\0\x01\x02",     // capture agent
            b"\0\0\0\x0e\0\x07k",                // key
            b"\0\0\0\x11\0\x08c1",               // correlation id
            b"\0\0\0\x0f\0\x0cINVITE",           // payload
        ]
        .concat();
        assert_eq!(out, expected);
    }

    #[test]
    fn addresses_of_two_families_travel_as_ipv6() {
        let mut out = Vec::new();
        let config = HepConfig::default();
        assert!(encode(&packet("[2001:db8::1]:5060", b""), &config, &mut out));
        assert_eq!(&out[6..13], b"\0\0\0\x01\0\x07\x0a");
        assert_eq!(&out[13..19], b"\0\0\0\x05\0\x16");
        let mapped = b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02";
        assert!(out.windows(16).any(|bytes| bytes == mapped));
    }

    #[test]
    fn what_no_datagram_takes_is_refused() {
        let mut out = Vec::new();
        let config = HepConfig::default();
        for size in [LARGEST, LARGEST + 1, 1 << 20] {
            let payload = vec![b'x'; size];
            assert!(!encode(&packet("192.0.2.1:5060", &payload), &config, &mut out));
            assert!(out.is_empty());
        }
        let payload = vec![b'x'; LARGEST - 200];
        assert!(encode(&packet("192.0.2.1:5060", &payload), &config, &mut out));
        assert_eq!(usize::from(u16::from_be_bytes([out[4], out[5]])), out.len());
    }

    #[test]
    fn a_collector_gets_the_invite_and_the_verdict_of_a_call() {
        let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
        collector.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let config =
            HepConfig { collector: Some(collector.local_addr().unwrap()), ..Default::default() };
        let stats = Arc::new(Stats::default());
        let mut exporter = Exporter::start(&config, Arc::clone(&stats)).unwrap().unwrap();
        Call::new(1).assessed(|assessment| {
            exporter.call(assessment, Some(7));
            let huge = vec![b'x'; 100_000];
            exporter.call(&crate::engine::Assessment { message: &huge, ..*assessment }, None);
        });
        exporter.finish();
        let read = || {
            let mut bytes = vec![0; 65_536];
            let length = collector.recv(&mut bytes).unwrap();
            bytes[..length].to_vec()
        };
        let (invite, line) = (read(), read());
        assert!(invite.ends_with(b"INVITE sip:+442079460123@edge.example.net SIP/2.0\r\n\r\n"));
        let at = line.iter().position(|byte| *byte == b'{').unwrap();
        let verdict: serde_json::Value = serde_json::from_slice(&line[at..]).unwrap();
        assert_eq!(verdict["latency_ns"], 7);
        let of = |name: &str, label: &str| {
            stats.samples().iter().find(|s| s.0 == name && s.1 == label).map(|s| s.2)
        };
        assert_eq!(of("scorer_hep_packets_total", "sent"), Some(2));
        assert_eq!(of("scorer_hep_packets_total", "dropped"), Some(2));
    }
}

//! Frames made by hand.

use etherparse::PacketBuilder;

/// An INVITE as a session border controller sends it.
pub const INVITE: &str = "INVITE sip:+442079460123@edge.example.net;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-524287-1---d8a1b2c3\r\n\
Max-Forwards: 69\r\n\
Record-Route: <sip:192.0.2.1;lr;ftag=abc>\r\n\
Contact: <sip:+441632960001@192.0.2.1:5060>\r\n\
To: <sip:+442079460123@edge.example.net>\r\n\
From: \"Alice\" <sip:+441632960001@carrier.example.net>;tag=8f3b2a1c\r\n\
Call-ID: 3848276298220188511@192.0.2.1\r\n\
CSeq: 1 INVITE\r\n\
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, PRACK, INFO\r\n\
Supported: 100rel, timer, replaces\r\n\
Session-Expires: 1800;refresher=uac\r\n\
Min-SE: 90\r\n\
P-Asserted-Identity: <sip:+441632960777@carrier.example.net>\r\n\
Privacy: none\r\n\
User-Agent: ExampleSBC/9.1\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 211\r\n\
\r\n\
v=0\r\no=- 20518 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
m=audio 49170 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";

/// The INVITE with another Call-ID.
pub fn invite(call_id: &str) -> String {
    INVITE.replace("3848276298220188511@192.0.2.1", call_id)
}

const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

fn written(
    builder: etherparse::PacketBuilderStep<etherparse::UdpHeader>,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).expect("a frame");
    frame
}

/// IPv4 and UDP from port 5060.
pub fn udp4(payload: &[u8], port: u16) -> Vec<u8> {
    let ip = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 61);
    written(ip.udp(5060, port), payload)
}

/// IPv6 and UDP.
pub fn udp6(payload: &[u8], port: u16) -> Vec<u8> {
    let (mut a, mut b) = ([0; 16], [0; 16]);
    (a[0], a[15], b[0], b[15]) = (0xfd, 1, 0xfd, 2);
    written(PacketBuilder::ethernet2(MACS.0, MACS.1).ipv6(a, b, 61).udp(5060, port), payload)
}

/// IPv4 and a TCP segment.
///
/// # Panics
/// When it exceeds what IP allows.
pub fn tcp4(payload: &[u8], sequence: u32, syn: bool) -> Vec<u8> {
    let ip = PacketBuilder::ethernet2(MACS.0, MACS.1).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 61);
    let tcp = ip.tcp(40_000, 5060, sequence, 64_000);
    let tcp = if syn { tcp.syn() } else { tcp.ack(1) };
    let mut frame = Vec::new();
    tcp.write(&mut frame, payload).expect("a frame");
    frame
}

/// Puts VLAN tags (EtherType, identifier) behind the addresses.
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for (kind, id) in tags {
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(&frame[12..]);
    out
}

fn ipv4_header(protocol: u8, length: usize, id: u16, fragment: u16) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((20 + length) as u16).to_be_bytes());
    header[4..6].copy_from_slice(&id.to_be_bytes());
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    (header[8], header[9]) = (60, protocol);
    header[12..16].copy_from_slice(&[198, 51, 100, 1]);
    header[16..20].copy_from_slice(&[198, 51, 100, 2]);
    let sum: u32 = header.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    header
}

/// An Ethernet frame with an IPv4 packet of `protocol`.
pub fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    fragment4(protocol, payload, 7, 0, false)
}

/// The same as a fragment at `offset` (a multiple of eight).
pub fn fragment4(protocol: u8, payload: &[u8], id: u16, offset: usize, more: bool) -> Vec<u8> {
    let mut frame = [MACS.1, MACS.0].concat();
    frame.extend_from_slice(&[0x08, 0x00]);
    let bits = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    frame.extend_from_slice(&ipv4_header(protocol, payload.len(), id, bits));
    frame.extend_from_slice(payload);
    frame
}

/// IPv4 with options: the header grows to 24 bytes.
pub fn with_options(frame: &[u8]) -> Vec<u8> {
    let mut out = frame[..34].to_vec();
    out[14] = 0x46;
    let total = u16::from_be_bytes([out[16], out[17]]) + 4;
    out[16..18].copy_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[1, 1, 1, 1]);
    out.extend_from_slice(&frame[34..]);
    out
}

/// IPv6 with a hop-by-hop and a destination header before what follows.
pub fn with_extensions(frame: &[u8]) -> Vec<u8> {
    let mut out = frame[..54].to_vec();
    let next = out[20];
    out[20] = 0;
    let length = u16::from_be_bytes([out[18], out[19]]) + 16;
    out[18..20].copy_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[60, 0, 1, 4, 0, 0, 0, 0, next, 0, 1, 4, 0, 0, 0, 0]);
    out.extend_from_slice(&frame[54..]);
    out
}

/// Every mirror and tunnel header the kernel takes off, around `frame`.
pub fn tunnels(frame: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let gre = |flags: u16, kind: u16, middle: &[u8], inner: &[u8]| {
        let head = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
        ip4(47, &[&head[..], middle, inner].concat())
    };
    let vxlan = {
        let payload = [&[8, 0, 0, 0, 0, 0, 1, 0][..], frame].concat();
        let mut udp = vec![0x9c, 0x40, 0x12, 0xb5];
        udp.extend_from_slice(&((payload.len() + 8) as u16).to_be_bytes());
        udp.extend_from_slice(&[0, 0]);
        udp.extend_from_slice(&payload);
        ip4(17, &udp)
    };
    let mut erspan3 = [0; 12];
    erspan3[0] = 0x20;
    let mut erspan3_sub = erspan3;
    erspan3_sub[11] = 1;
    let ip = &frame[14..];
    vec![
        ("ip in ip", ip4(4, ip)),
        ("gre", gre(0, 0x0800, &[], ip)),
        ("gre with checksum, key and sequence", gre(0xb000, 0x0800, &[0; 12], ip)),
        ("gre ethernet", gre(0, 0x6558, &[], frame)),
        ("erspan 1", gre(0, 0x88be, &[], frame)),
        ("erspan 2", gre(0x1000, 0x88be, &[0; 12], frame)),
        ("erspan 3", gre(0x1000, 0x22eb, &[&[0; 4][..], &erspan3].concat(), frame)),
        (
            "erspan 3 with platform header",
            gre(0x1000, 0x22eb, &[&[0; 4][..], &erspan3_sub, &[0; 8]].concat(), frame),
        ),
        ("vxlan", vxlan),
    ]
}

/// A UDP datagram (header and text) in fragments of `size` bytes.
pub fn fragmented(text: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let frame = udp4(text, 5060);
    let datagram = &frame[34..];
    let chunks: Vec<_> = datagram.chunks(size / 8 * 8).collect();
    let last = chunks.len() - 1;
    chunks
        .iter()
        .enumerate()
        .map(|(i, chunk)| fragment4(17, chunk, id, i * (size / 8 * 8), i != last))
        .collect()
}

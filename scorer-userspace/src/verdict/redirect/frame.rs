//! A message of the redirect server as the frame that the engine would have seen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::PacketBuilder;

use crate::sip::{Message, Via};

/// Hop limit of frames made here.
const HOPS: u8 = 64;
/// Most bytes of a UDP datagram over IPv4.
const MOST: usize = 65_507;

/// Ethernet, IP and UDP around `message`; `None` where it is longer than UDP allows.
pub(super) fn frame(message: &[u8], source: SocketAddr, to: SocketAddr) -> Option<Vec<u8>> {
    if message.len() > MOST {
        return None;
    }
    let ethernet = PacketBuilder::ethernet2([0; 6], [0; 6]);
    let udp = match (source.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), to) => {
            let to = if let IpAddr::V4(to) = to { to } else { Ipv4Addr::UNSPECIFIED };
            ethernet.ipv4(from.octets(), to.octets(), HOPS)
        }
        (IpAddr::V6(from), to) => {
            let to = match to {
                IpAddr::V6(to) => to,
                IpAddr::V4(to) => to.to_ipv6_mapped(),
            };
            ethernet.ipv6(from.octets(), to.octets(), HOPS)
        }
    };
    let udp = udp.udp(source.port(), to.port());
    let mut out = Vec::with_capacity(udp.size(message.len()));
    udp.write(&mut out, message).ok()?;
    Some(out)
}

/// Whom the second Via names: the hop before the router. `None` where there is none or
/// it names no address.
pub(super) fn hop_before(message: &Message<'_>) -> Option<SocketAddr> {
    let via = message.vias().nth(1)?;
    let number = |name: &[u8]| std::str::from_utf8(via.params.get(name)?).ok()?.parse().ok();
    let address = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<IpAddr>().ok();
    let received = |via: &Via<'_>| via.params.get(b"received").and_then(address);
    let address = received(&via).or_else(|| address(via.host))?;
    Some(SocketAddr::new(address, number(b"rport").or(via.port).unwrap_or(5060)))
}

#[cfg(test)]
mod tests {
    use super::{frame, hop_before};
    use crate::{
        capture::{Assembler, AssemblerConfig, Frame, LinkType},
        sip::{Message, Scratch},
        time::Timestamp,
    };

    #[test]
    fn the_assembler_reads_it() {
        let text = b"INVITE sip:a@b SIP/2.0\r\nCall-ID: x\r\n\r\n";
        for (from, to) in [
            ("192.0.2.1:5062", "192.0.2.2:5070"),
            ("[2001:db8::1]:5062", "[2001:db8::2]:5070"),
            ("192.0.2.1:5062", "[::1]:5070"),
            ("[2001:db8::1]:5062", "192.0.2.2:5070"),
        ] {
            let (from, to) = (from.parse().expect("one"), to.parse().expect("one"));
            let bytes = frame(text, from, to).expect("a frame");
            let mut assembler = Assembler::new(&AssemblerConfig::default());
            let mut seen = Vec::new();
            let frame = Frame {
                link: LinkType::Ethernet,
                timestamp: Timestamp(1),
                bytes: &bytes,
                wire_length: bytes.len() as u32,
                scan: None,
            };
            assembler.push(&frame, &mut |packet| {
                seen.push((packet.bytes.to_vec(), packet.meta.source));
            });
            assert_eq!(seen, [(text.to_vec(), from)]);
        }
        let any = "192.0.2.1:1".parse().expect("one");
        assert!(frame(&vec![b'x'; 65_508], any, any).is_none());
    }

    #[test]
    fn hops() {
        let hop = |vias: &str| {
            let text = format!("INVITE sip:a@b SIP/2.0\r\n{vias}\r\n\r\n");
            let mut scratch = Scratch::new();
            let message = Message::parse(text.as_bytes(), None, &mut scratch).expect("a message");
            hop_before(&message).map(|hop| hop.to_string())
        };
        let router = "Via: SIP/2.0/UDP 10.0.0.1\r\n";
        assert_eq!(hop(router), None);
        assert_eq!(
            hop(&format!("{router}Via: SIP/2.0/UDP c.example:5080;received=192.0.2.7;rport=6000")),
            Some("192.0.2.7:6000".into())
        );
        assert_eq!(
            hop(&format!("{router}v: SIP/2.0/UDP [2001:db8::1]")),
            Some("[2001:db8::1]:5060".into())
        );
        assert_eq!(hop(&format!("{router}Via: SIP/2.0/UDP c.example")), None);
    }
}

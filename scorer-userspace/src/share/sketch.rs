//! Who is behind the signalling, whatever number is shown; and whether that is a crowd.
//!
//! A stack's header order is shared by all who run it, so the sketch is of what stands
//! behind it: the hosts that Contact, the first hop's Via and the offer's `o=` name,
//! where they are not the source's own and not of a private network, or else the `origid`
//! (RFC 8588) that the caller's provider signed. Where there is neither, there is none.

use std::net::{IpAddr, Ipv4Addr};

use ring::digest::{Context, SHA256};

use crate::{
    features::{Call, Traits, host_address},
    number::Number,
    time::Timestamp,
};

/// The sketch of a call: the first half of a SHA-256.
pub(crate) fn sketch(call: &Call<'_>, traits: &Traits<'_>) -> Option<[u8; 16]> {
    let own = call.meta.source.ip();
    let hosts = [
        call.parts.contact.map_or(&[][..], |contact| contact.uri.host),
        traits.last_via.0,
        traits.origin.0,
    ];
    let mut hash = Context::new(&SHA256);
    let mut some = false;
    for (place, host) in (b'0'..).zip(hosts) {
        if !says_something(host, own) {
            continue;
        }
        some = true;
        hash.update(&[place]);
        for byte in host {
            hash.update(&[byte.to_ascii_lowercase()]);
        }
        hash.update(&[0]);
    }
    if !some {
        if call.stir.origid == 0 {
            return None;
        }
        hash.update(b"i");
        hash.update(&call.stir.origid.to_be_bytes());
    }
    let mut sketch = [0; 16];
    sketch.copy_from_slice(&hash.finish().as_ref()[..16]);
    Some(sketch)
}

/// Whether a host tells its caller from others: an address of a private network is
/// thousands of callers'.
fn says_something(host: &[u8], own: IpAddr) -> bool {
    match host_address(host) {
        Some(address) if address == own => false,
        Some(IpAddr::V4(v4)) => {
            let shared = u32::from(v4) & 0xffc0_0000 == u32::from(Ipv4Addr::new(100, 64, 0, 0));
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || shared)
        }
        Some(IpAddr::V6(v6)) => {
            !(v6.is_unique_local()
                || v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unspecified())
        }
        None => {
            let of_nobody = [&b".invalid"[..], b".local", b".localdomain", b".lan", b".internal"];
            host.contains(&b'.')
                && host.len() < 256
                && !of_nobody.iter().any(|end| {
                    host.len() >= end.len()
                        && host[host.len() - end.len()..].eq_ignore_ascii_case(end)
                })
        }
    }
}

/// Numbers that the network asserts with one sketch within a day from which it is a
/// crowd's, and no longer one caller's.
const ASSERTED: u32 = 4;
/// The same of numbers shown where none is asserted, which one caller may make up.
const SHOWN: u32 = 32;
/// Sketches counted apart; two that share a place count as one, which is the safe side.
const PLACES: usize = 1 << 14;

/// How many callers each sketch has had today and yesterday: a carrier's own border
/// controller stands behind all of its callers. Bounded; in packets' time.
#[derive(Debug)]
pub(crate) struct Crowds(Box<[Place]>);

/// Bits of numbers (linear counting), today's and yesterday's.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    day: u32,
    asserted: [u64; 2],
    shown: [u64; 2],
}

impl Crowds {
    pub(crate) fn new() -> Self {
        Self(vec![Place::default(); PLACES].into())
    }

    /// Takes a call's number; whether the sketch is a crowd's.
    pub(crate) fn note(
        &mut self,
        sketch: &[u8; 16],
        network: Option<&Number>,
        shown: Option<&Number>,
        now: Timestamp,
    ) -> bool {
        let [a, b, ..] = *sketch;
        let place = &mut self.0[usize::from(u16::from_be_bytes([a, b])) % PLACES];
        let day = (now.0 / 86_400_000_000_000) as u32;
        if place.day != day {
            let next = place.day.wrapping_add(1) == day;
            for bits in [&mut place.asserted, &mut place.shown] {
                *bits = [0, if next { bits[0] } else { 0 }];
            }
            place.day = day;
        }
        let bit =
            |number: &Number| 1 << (number.packed().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
        match (network, shown) {
            (Some(number), _) => place.asserted[0] |= bit(number),
            (None, Some(number)) => place.shown[0] |= bit(number),
            (None, None) => {}
        }
        let count = |[now, before]: [u64; 2]| (now | before).count_ones();
        count(place.asserted) > ASSERTED || count(place.shown) > SHOWN
    }
}

#[cfg(test)]
mod tests {
    use super::{Crowds, says_something};
    use crate::{number::Number, time::Timestamp};

    #[test]
    fn hosts_that_many_have_say_nothing() {
        let own = [192, 0, 2, 1].into();
        for (host, says) in [
            (&b"203.0.113.7"[..], true),
            (b"pbx.example.net", true),
            (b"2001:db8::7", true),
            (b"192.0.2.1", false),
            (b"192.168.1.10", false),
            (b"100.64.9.9", false),
            (b"10.0.0.1", false),
            (b"fd00::1", false),
            (b"127.0.0.1", false),
            (b"anonymous.invalid", false),
            (b"asterisk", false),
            (b"PBX.LOCAL", false),
            (b"", false),
        ] {
            assert_eq!(says_something(host, own), says, "{}", String::from_utf8_lossy(host));
        }
    }

    #[test]
    fn a_crowd_is_told_from_one_caller_who_makes_numbers_up() {
        let day = |day: u64| Timestamp(day * 86_400_000_000_000);
        let number = |i: u32| Number::parse(format!("+44163296{i:04}").as_bytes(), None);
        let (one, two) = ([1; 16], [2; 16]);
        let mut crowds = Crowds::new();
        // One caller, many numbers made up: not a crowd for long.
        assert!((0..30).all(|i| !crowds.note(&one, None, number(i).as_ref(), day(9))));
        assert!((0..400).any(|i| crowds.note(&one, None, number(i).as_ref(), day(9))));
        // Numbers that networks assert are callers.
        assert!((0..40).any(|i| crowds.note(&two, number(i).as_ref(), None, day(9))));
        assert!(crowds.note(&two, None, None, day(10)), "yesterday's count");
        assert!(!crowds.note(&two, None, None, day(12)), "it is over");
        assert!((0..100).all(|_| !crowds.note(&two, number(1).as_ref(), None, day(12))));
    }
}

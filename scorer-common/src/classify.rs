//! What a payload is, told from its first sixteen bytes.
//!
//! The XDP program and the capture layer both decide with [`classify`], so that
//! a packet is SIP to the one exactly when it is SIP to the other.

/// Kind of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Not recognised as SIP.
    NotSip = 0,
    /// An INVITE request. The method is compared without case: a few stacks
    /// accept `invite`, so an attacker may send it.
    Invite = 1,
    /// A message that tells how a call went: CANCEL, BYE, ACK, or a response
    /// from 180 on.
    Dialog = 2,
    /// Any other SIP request or response.
    OtherSip = 3,
    /// Begins with CR or LF: on a SIP port either a keep-alive or a message
    /// behind blank lines (RFC 3261 section 7.5), for user space to tell.
    Blank = 4,
}

const FOLD: u64 = 0x2020_2020_2020_2020;

const fn word(text: &[u8]) -> u64 {
    let mut value = 0;
    let mut i = 0;
    while i < text.len() && i < 8 {
        value |= (text[i] as u64) << (8 * i);
        i += 1;
    }
    value
}

const fn mask(bytes: u32) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// Classifies a payload of at least sixteen bytes by its first sixteen, given as
/// two little-endian words.
#[inline(always)]
pub const fn classify(first: u64, second: u64) -> Class {
    let folded = first | FOLD;
    if folded & mask(7) == word(b"invite ") | (FOLD & mask(7)) {
        return Class::Invite;
    }
    if first == word(b"SIP/2.0 ") {
        // Status codes are three digits: "180" and up tell something.
        let hundreds = second & 0xff;
        let tens = (second >> 8) & 0xff;
        let final_response = hundreds >= b'2' as u64 && hundreds <= b'6' as u64;
        let ringing = hundreds == b'1' as u64 && tens >= b'8' as u64;
        return if final_response || ringing { Class::Dialog } else { Class::OtherSip };
    }
    if first & mask(4) == word(b"BYE ")
        || first & mask(4) == word(b"ACK ")
        || first & mask(7) == word(b"CANCEL ")
    {
        return Class::Dialog;
    }
    if first == word(b"REGISTER")
        || first == word(b"OPTIONS ")
        || first == word(b"SUBSCRIB")
        || first & mask(7) == word(b"NOTIFY ")
        || first == word(b"PUBLISH ")
        || first == word(b"MESSAGE ")
        || first & mask(5) == word(b"INFO ")
        || first & mask(6) == word(b"PRACK ")
        || first & mask(7) == word(b"UPDATE ")
        || first & mask(6) == word(b"REFER ")
    {
        return Class::OtherSip;
    }
    if first & 0xff == b'\r' as u64 || first & 0xff == b'\n' as u64 {
        return Class::Blank;
    }
    Class::NotSip
}

/// [`classify`] over a byte slice. No SIP message is under sixteen bytes; of
/// shorter payloads only [`Class::Blank`] is told.
pub fn classify_bytes(payload: &[u8]) -> Class {
    let Some(head) = payload.first_chunk::<16>() else {
        return classify_short(payload.first().copied().unwrap_or(0));
    };
    let value = u128::from_le_bytes(*head);
    classify(value as u64, (value >> 64) as u64)
}

/// Class of a payload under sixteen bytes, told from its first.
#[inline(always)]
pub const fn classify_short(first: u8) -> Class {
    if first == b'\r' || first == b'\n' { Class::Blank } else { Class::NotSip }
}

#[cfg(test)]
mod tests {
    use super::{Class, classify_bytes};

    #[test]
    fn methods_and_responses() {
        for (text, class) in [
            (&b"INVITE sip:1@b SIP/2.0\r\n"[..], Class::Invite),
            (b"invite sip:1@b SIP/2.0\r\n", Class::Invite),
            (b"INVITED sip:1@b SIP/2.0\r\n", Class::NotSip),
            (b"SIP/2.0 100 Trying\r\n", Class::OtherSip),
            (b"SIP/2.0 180 Ringing\r\n", Class::Dialog),
            (b"SIP/2.0 183 Session Progress\r\n", Class::Dialog),
            (b"SIP/2.0 200 OK\r\n", Class::Dialog),
            (b"SIP/2.0 699 Busy\r\n", Class::Dialog),
            (b"SIP/2.0 799 What\r\n", Class::OtherSip),
            (b"BYE sip:a", Class::NotSip),
            (b"BYE sip:a SIP/2.0", Class::Dialog),
            (b"ACK sip:a SIP/2.0", Class::Dialog),
            (b"CANCEL sip:a SIP/2.0", Class::Dialog),
            (b"REGISTER sip:a SIP/2.0", Class::OtherSip),
            (b"\r\n\r\n", Class::Blank),
            (b"\x80\x08\x00\x01", Class::NotSip),
            (b"", Class::NotSip),
        ] {
            assert_eq!(classify_bytes(text), class, "{}", text.escape_ascii());
        }
    }
}

//! User-Agent families.

/// Beginnings of User-Agent values of well-known stacks, lower case, and their
/// family. The order matters: the first that fits counts.
const FAMILIES: [(&[u8], u8); 44] = [
    (b"asterisk", 1),
    (b"fpbx", 1),
    (b"issabel", 1),
    (b"digium", 1),
    (b"freeswitch", 2),
    (b"fusionpbx", 2),
    (b"kamailio", 3),
    (b"opensips", 4),
    (b"cisco", 5),
    (b"sonus", 6),
    (b"ribbon", 6),
    (b"oracle", 7),
    (b"acme", 7),
    (b"audiocodes", 8),
    (b"mediant", 8),
    (b"metaswitch", 9),
    (b"perimeta", 9),
    (b"huawei", 10),
    (b"ericsson", 11),
    (b"nokia", 12),
    (b"yeastar", 13),
    (b"3cx", 14),
    (b"twilio", 15),
    (b"microsoft", 16),
    (b"pjsua", 17),
    (b"pjsip", 17),
    (b"linphone", 18),
    (b"zoiper", 19),
    (b"z ", 19),
    (b"grandstream", 20),
    (b"yealink", 21),
    (b"polycom", 22),
    (b"snom", 23),
    (b"fritz", 24),
    (b"avm ", 24),
    (b"avaya", 25),
    (b"mitel", 26),
    (b"panasonic", 27),
    (b"sipp", 28),
    (b"friendly-scanner", 29),
    (b"sipvicious", 29),
    (b"sipcli", 29),
    (b"sipsak", 29),
    (b"vaxsip", 29),
];

/// Which of them begin with a letter, by five bits of it: bit *i* for the one of index *i*.
const BEGINNINGS: [u64; 32] = {
    let (mut table, mut i) = ([0; 32], 0);
    while i < FAMILIES.len() {
        table[(FAMILIES[i].0[0] & 31) as usize] |= 1 << i;
        i += 1;
    }
    table
};

/// Family of a User-Agent value; 0 when it is none of those known.
pub(super) fn family(agent: &[u8]) -> u8 {
    let Some(first) = agent.first() else { return 0 };
    let mut may_be = BEGINNINGS[usize::from(first & 31)];
    while may_be != 0 {
        let (name, family) = FAMILIES[may_be.trailing_zeros() as usize];
        if agent.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return family;
        }
        may_be &= may_be - 1;
    }
    0
}

/// The part of a User-Agent value that names the product: up to the first digit,
/// slash or bracket.
pub(super) fn product(agent: &[u8]) -> &[u8] {
    let end = agent
        .iter()
        .take(64)
        .position(|b| matches!(b, b'0'..=b'9' | b'/' | b'('))
        .unwrap_or(agent.len().min(64));
    // "3CX" and the like begin with a digit.
    if end == 0 { &agent[..agent.len().min(8)] } else { &agent[..end] }
}

#[cfg(test)]
mod tests {
    use super::{family, product};

    #[test]
    fn families_and_products() {
        assert_eq!(family(b"Asterisk PBX 18.9"), 1);
        assert_eq!(family(b"Cisco-SIPGateway/IOS-15.2"), 5);
        assert_eq!(family(b"Example 1"), 0);
        assert_eq!(product(b"Asterisk PBX 18.9"), b"Asterisk PBX ");
        assert_eq!(product(b"3CXPhoneSystem 18"), b"3CXPhone");
        assert_eq!(product(b""), b"");
    }
}

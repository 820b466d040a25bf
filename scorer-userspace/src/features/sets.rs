//! Sets of methods and options, as bits. The numbers are part of what models learn:
//! new names get new bits behind the others.

use crate::sip::{HeaderName, Lines, Message, Values, same};

const METHODS: [&[u8]; 14] = [
    b"INVITE",
    b"ACK",
    b"BYE",
    b"CANCEL",
    b"OPTIONS",
    b"REGISTER",
    b"PRACK",
    b"UPDATE",
    b"INFO",
    b"REFER",
    b"NOTIFY",
    b"SUBSCRIBE",
    b"MESSAGE",
    b"PUBLISH",
];

const OPTIONS: [&[u8]; 12] = [
    b"100rel",
    b"timer",
    b"replaces",
    b"path",
    b"outbound",
    b"gruu",
    b"precondition",
    b"norefersub",
    b"histinfo",
    b"tdialog",
    b"resource-priority",
    b"from-change",
];

/// Names by their length and first letter, in which no two of a set are alike: index plus
/// one, 0 where there is none.
struct Places([u8; 256]);

impl Places {
    const fn of(names: &[&[u8]]) -> Self {
        let (mut table, mut i) = ([0; 256], 0);
        while i < names.len() {
            let place = place(names[i]);
            assert!(table[place] == 0, "two names in one place");
            i += 1;
            table[place] = i as u8;
        }
        Self(table)
    }

    fn bit(&self, names: &[&[u8]], value: &[u8]) -> u16 {
        if value.is_empty() {
            return 0;
        }
        let Some(at) = usize::from(self.0[place(value)]).checked_sub(1) else { return 0 };
        let Some(name) = names.get(at) else { return 0 };
        u16::from(same(name, value) || name.eq_ignore_ascii_case(value)) << at
    }
}

/// Of a name of at least one byte.
const fn place(name: &[u8]) -> usize {
    (name.len() * 16 + (name[0] | 0x20) as usize * 5) % 256
}

static METHOD_PLACES: Places = Places::of(&METHODS);
static OPTION_PLACES: Places = Places::of(&OPTIONS);

/// What the first 32 values name: a hostile message may have thousands.
fn bits(lines: Lines<'_>, names: &[&[u8]], places: &Places) -> u16 {
    let (mut set, mut left) = (0, 32);
    for line in lines {
        let mut values = Values::new(line);
        while left > 0
            && let Some(value) = values.step()
        {
            set |= places.bit(names, value);
            left -= 1;
        }
    }
    set
}

/// Methods of Allow.
pub(super) fn allow(message: &Message<'_>) -> u16 {
    bits(message.all(HeaderName::Allow), &METHODS, &METHOD_PLACES)
}

/// Options of Supported.
pub(super) fn supported(message: &Message<'_>) -> u16 {
    bits(message.all(HeaderName::Supported), &OPTIONS, &OPTION_PLACES)
}

#[cfg(test)]
mod tests {
    use super::{METHOD_PLACES, METHODS, OPTION_PLACES, OPTIONS};

    #[test]
    fn every_name_has_its_bit() {
        for (names, places) in [(&METHODS[..], &METHOD_PLACES), (&OPTIONS[..], &OPTION_PLACES)] {
            for (bit, name) in names.iter().enumerate() {
                assert_eq!(places.bit(names, name), 1 << bit);
                assert_eq!(places.bit(names, &name.to_ascii_lowercase()), 1 << bit);
                let mut other = name.to_vec();
                *other.last_mut().expect("a letter") ^= 1;
                assert_eq!(places.bit(names, &other), 0);
            }
            assert_eq!(places.bit(names, b"") | places.bit(names, b"X"), 0);
        }
    }
}

//! Sets of methods and options, as bits. The numbers are part of what models learn:
//! new names get new bits behind the others.

use crate::sip::same;

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

fn bits<'a>(names: &[&[u8]], values: impl Iterator<Item = &'a [u8]>) -> u16 {
    // A hostile message may name thousands.
    values.take(32).fold(0, |set, value| {
        let first = value.first().map_or(0, |first| first | 0x20);
        let found = names.iter().position(|name| {
            // Told by length and first letter before anything is called.
            name.len() == value.len()
                && name[0] | 0x20 == first
                && (same(name, value) || name.eq_ignore_ascii_case(value))
        });
        found.map_or(set, |bit| set | 1 << bit)
    })
}

/// Methods of Allow values.
pub(super) fn allow<'a>(values: impl Iterator<Item = &'a [u8]>) -> u16 {
    bits(&METHODS, values)
}

/// Options of Supported values.
pub(super) fn supported<'a>(values: impl Iterator<Item = &'a [u8]>) -> u16 {
    bits(&OPTIONS, values)
}

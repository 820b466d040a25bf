//! Initial address messages from their parts, for tests and the simulator.

use super::{CALLING_PARTY_NUMBER, GENERIC_NUMBER, HOP_COUNTER, IAM, REDIRECTING_NUMBER};

/// A number to be written.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a> {
    /// Decimal digits.
    pub digits: &'a str,
    /// Nature of address.
    pub nature: u8,
    /// Presentation.
    pub presentation: u8,
    /// Screening.
    pub screening: u8,
}

fn contents(number: &Number<'_>) -> Vec<u8> {
    let digits: Vec<u8> = number.digits.bytes().map(|digit| digit & 15).collect();
    let odd = u8::from(digits.len() % 2 == 1) << 7;
    let plan = 1 << 4;
    let mut out = vec![odd | number.nature, plan | number.presentation << 2 | number.screening];
    out.extend(digits.chunks(2).map(|pair| pair[0] | pair.get(1).copied().unwrap_or(0) << 4));
    out
}

/// An IAM of an ordinary subscriber.
pub fn iam(
    called: &Number<'_>,
    calling: Option<&Number<'_>>,
    generic: Option<&Number<'_>>,
    redirected: bool,
    hops: u8,
) -> Vec<u8> {
    let called = contents(called);
    let mut out = vec![IAM, 0, 0x20, 0x01, 0x0a, 0x03, 2, called.len() as u8 + 2];
    out.push(called.len() as u8);
    out.extend(&called);
    let mut parameter = |code: u8, contents: &[u8]| {
        out.extend([code, contents.len() as u8]);
        out.extend(contents);
    };
    if let Some(calling) = calling {
        parameter(CALLING_PARTY_NUMBER, &contents(calling));
    }
    if let Some(generic) = generic {
        // Qualifier 6: additional calling party number.
        parameter(GENERIC_NUMBER, &[&[6], &contents(generic)[..]].concat());
    }
    if redirected {
        let number = Number { digits: "442079460199", nature: 4, presentation: 0, screening: 0 };
        parameter(REDIRECTING_NUMBER, &contents(&number));
    }
    parameter(HOP_COUNTER, &[hops]);
    out.push(0);
    out
}

//! What a feature's value means, in words an agent understands.
//!
//! A reason in the table may begin with when it is true: `=0|`, `>0.5|`, `<60|`, `any|`.
//! Without that a flag's is true at 1, a count's above 0, a logarithm's from two on, a
//! ratio's above a half. A model may hold any value against a call; what is not true of
//! the value is not said, but that the like of it is unusual.

use std::{io::Write as _, sync::LazyLock};

use super::{Group, Kind, REGISTRY};

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// Whatever the value, and so not much.
    Any,
    Is(f32),
    Above(f32),
    Below(f32),
}

impl When {
    /// The least and the greatest value of which it holds; of what is no number it holds
    /// where it does of any.
    const fn bounds(self) -> [f32; 2] {
        match self {
            Self::Any => [f32::NEG_INFINITY, f32::INFINITY],
            Self::Is(at) => [at, at],
            Self::Above(at) => [at.next_up(), f32::INFINITY],
            Self::Below(at) => [f32::NEG_INFINITY, at.next_down()],
        }
    }

    /// From the table's text: when it holds, and what it says.
    fn read(kind: Kind, reason: &'static str) -> Option<(Self, &'static str)> {
        let Some((when, words)) = reason.split_once('|') else {
            let when = match kind {
                Kind::Flag => Self::Is(1.0),
                Kind::Count => Self::Above(0.0),
                // ln(1 + 1.5): two or more.
                Kind::LogCount => Self::Above(0.9),
                Kind::Ratio => Self::Above(0.5),
                Kind::Seconds | Kind::Category => Self::Any,
            };
            return Some((when, reason));
        };
        let number = || when.get(1..)?.parse().ok();
        let when = match when.as_bytes().first()? {
            b'a' if when == "any" => Self::Any,
            b'=' => Self::Is(number()?),
            b'>' => Self::Above(number()?),
            b'<' => Self::Below(number()?),
            _ => return None,
        };
        Some((when, words))
    }
}

/// What one feature says.
struct Words {
    /// See [`When::bounds`].
    bounds: [f32; 2],
    any: bool,
    kind: Kind,
    /// Index of the text where that is not true, and of the one where it is.
    texts: [u16; 2],
}

/// A text and what stands in it: `{n}` or `{%}`, or nothing.
struct Text {
    before: &'static str,
    place: Option<Place>,
    after: &'static str,
}

#[derive(Clone, Copy)]
enum Place {
    Number,
    Share,
}

impl Text {
    fn read(words: &'static str) -> Self {
        let split = [("{n}", Place::Number), ("{%}", Place::Share)]
            .into_iter()
            .find_map(|(mark, place)| words.split_once(mark).zip(Some(place)));
        match split {
            Some(((before, after), place)) => Self { before, place: Some(place), after },
            None => Self { before: words, place: None, after: "" },
        }
    }
}

struct Table {
    features: Vec<Words>,
    texts: Vec<Text>,
}

/// Read once: a call has no time for it.
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut known: Vec<&'static str> = Vec::new();
    let mut number = |words: &'static str| {
        known.iter().position(|text| *text == words).unwrap_or_else(|| {
            known.push(words);
            known.len() - 1
        }) as u16
    };
    let features = REGISTRY
        .iter()
        .map(|feature| {
            let read = When::read(feature.kind, feature.reason);
            let (when, words) = read.unwrap_or((When::Any, feature.reason));
            let text = number(words);
            Words {
                bounds: when.bounds(),
                any: when == When::Any,
                kind: feature.kind,
                texts: [number(unusual(feature.group)), text],
            }
        })
        .collect();
    Table { features, texts: known.into_iter().map(Text::read).collect() }
});

/// What can always be said.
const fn unusual(group: Group) -> &'static str {
    match group {
        Group::Identity => "the way the caller is named is unusual",
        Group::Number => "such numbers are unusual here",
        Group::Header => "the signalling is unlike a carrier's",
        Group::Sdp => "the media offer is unusual",
        Group::Transport => "the call came an unusual way",
        Group::Stir => "the state of the signature is unusual",
        Group::Isup => "the ISUP message is unusual",
        Group::Behaviour => "the pattern of calls is unusual",
        Group::Profile => "what is known of the caller is unusual",
        Group::Lists => "what the lists say is unusual",
    }
}

/// What contradicts an allow list: values that stand in a reason in place of the
/// feature's own, which is 0 or 1.
pub(crate) mod listed {
    /// The call comes from elsewhere than the allowed caller's do.
    pub(crate) const OTHER_SOURCE: f32 = 2.0;
    /// The number shown and the network's differ, and one of them is not allowed.
    pub(crate) const OTHER_NUMBER: f32 = 3.0;
    /// A signature does not verify.
    pub(crate) const BAD_SIGNATURE: f32 = 4.0;
    /// A deny list names the call, too.
    pub(crate) const DENIED: f32 = 5.0;

    /// In words; `None` for any other value.
    pub(crate) fn says(feature: u16, value: f32) -> Option<&'static str> {
        use crate::features::id::{ALLOW_NUMBER, ALLOW_SOURCE};
        Some(match (feature, value) {
            (ALLOW_NUMBER, OTHER_SOURCE) => "allow-listed number from a source it does not use",
            (ALLOW_NUMBER, OTHER_NUMBER) => {
                "allow-listed number, but the one shown and the network's differ"
            }
            (ALLOW_NUMBER, BAD_SIGNATURE) => "allow-listed number with a signature that fails",
            (ALLOW_NUMBER, DENIED) => "allow-listed number, but a deny list names the call",
            (ALLOW_SOURCE, OTHER_SOURCE) => "allow-listed caller from a source it does not use",
            (ALLOW_SOURCE, BAD_SIGNATURE) => "allow-listed source with a signature that fails",
            (ALLOW_SOURCE, DENIED) => "allow-listed source, but a deny list names the call",
            _ => return None,
        })
    }
}

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Number of the text: features that say the same have the same.
    pub text: u16,
    /// It is more than that the value is unusual.
    pub named: bool,
}

/// What every feature's values say; to be had once for many.
#[derive(Clone, Copy)]
pub(crate) struct Saying(&'static [Words]);

impl Saying {
    pub(crate) fn new() -> Self {
        Self(&TABLE.features)
    }

    /// See [`says`].
    #[inline]
    #[expect(clippy::needless_bitwise_bool, reason = "no branch: values are as good as chance")]
    pub(crate) fn of(self, feature: u16, value: f32) -> Option<Said> {
        let Words { bounds: [least, most], any, texts, .. } = self.0.get(usize::from(feature))?;
        let holds = *any | ((value >= *least) & (value <= *most));
        Some(Said { text: texts[usize::from(holds)], named: holds & !any })
    }
}

/// What a value says; `None` for an unknown feature. Features that say the same give one
/// reason.
pub fn says(feature: u16, value: f32) -> Option<Said> {
    Saying::new().of(feature, value)
}

/// The same in words, added to `out`. They are plain ASCII without quotes.
pub fn write(feature: u16, value: f32, out: &mut Vec<u8>) {
    if value > 1.0
        && let Some(words) = listed::says(feature, value)
    {
        out.extend_from_slice(words.as_bytes());
        return;
    }
    let Some(said) = says(feature, value) else { return };
    let kind = TABLE.features[usize::from(feature)].kind;
    let Text { before, place, after } = &TABLE.texts[usize::from(said.text)];
    out.extend_from_slice(before.as_bytes());
    let number = if kind == Kind::LogCount { value.exp_m1() } else { value };
    // Writing to a Vec cannot fail.
    let _ = match place {
        Some(Place::Number) => write!(out, "{:.0}", number.max(1.0)),
        Some(Place::Share) => write!(out, "{:.0} %", value * 100.0),
        None => Ok(()),
    };
    out.extend_from_slice(after.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{When, says, write};
    use crate::features::{REGISTRY, id};

    fn text(feature: u16, value: f32) -> String {
        let mut out = Vec::new();
        write(feature, value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_is_true_is_said() {
        assert_eq!(text(id::CALLER_E164_VALID, 0.0), "the caller's number cannot exist");
        assert_eq!(text(id::CALLER_E164_VALID, 1.0), "such numbers are unusual here");
        assert_eq!(
            text(id::LINKED_FRAUD_CALLS, 15f32.ln()),
            "same signalling as 14 confirmed fraud calls"
        );
        assert_eq!(
            text(id::CALLER_ANSWER_SHARE, 0.21),
            "the caller's calls are seldom answered (21 %)"
        );
        assert_eq!(text(id::CALLER_ANSWER_SHARE, 0.9), "the pattern of calls is unusual");
        assert_eq!(text(id::NUMBER_WITHHELD, 1.0), "the number is withheld");
        // A missing value is not said to be anything.
        assert_eq!(text(id::NUMBER_WITHHELD, f32::NAN), "the way the caller is named is unusual");
        assert_eq!((says(u16::MAX, 1.0), text(u16::MAX, 1.0)), (None, String::new()));
        // The same words, by another feature and by the group.
        let said = |feature: u16, value: f32| says(feature, value).expect("a feature").text;
        assert_eq!(said(id::CASE_ODDITIES, 1.0), said(id::COMPACT_FORMS, 1.0));
        assert_eq!(said(id::CASE_ODDITIES, 1.0), said(id::HEADER_COUNT, f32::NAN));
    }

    #[test]
    fn every_reason_can_be_read() {
        for feature in REGISTRY {
            let (_, words) = When::read(feature.kind, feature.reason).expect(feature.name);
            let plain = |c: char| c.is_ascii() && c >= ' ' && !"\"\\|".contains(c);
            assert!(words.chars().all(plain) && !words.is_empty(), "{}", feature.name);
        }
    }
}

//! What a profile is known by, on paper: kept with cases, compared to find links.

use std::collections::HashMap;

use super::{Evidence, KINDS, Kind};
use crate::time::Timestamp;

/// Tokens kept of a kind.
const TOKENS: usize = 16;
/// Tokens counted of a kind before the rarest go.
const COUNTED: usize = 4 * TOKENS;

/// A profile's tokens, each with the calls that had it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Portrait {
    /// Calls.
    pub calls: u32,
    /// First and last call.
    pub first: Timestamp,
    /// Last call.
    pub last: Timestamp,
    /// How its last call was signalled: 64 bits, a few for each trait.
    pub signature: u64,
    tokens: [Vec<(u64, u32)>; KINDS],
}

impl Portrait {
    /// Adds a call.
    pub fn add(&mut self, evidence: &Evidence, signature: u64, now: Timestamp) {
        if self.calls == 0 {
            self.first = now;
        }
        self.calls = self.calls.saturating_add(1);
        self.last = now;
        self.signature = signature;
        for kind in Kind::ALL {
            let token = evidence.get(kind);
            if token == 0 {
                continue;
            }
            let tokens = &mut self.tokens[kind as usize];
            if let Some((_, count)) = tokens.iter_mut().find(|(known, _)| *known == token) {
                *count += 1;
            } else {
                if tokens.len() == COUNTED {
                    shorten(tokens, TOKENS);
                }
                tokens.push((token, 1));
            }
        }
    }

    /// Adds another's calls, as when two turn out to be one.
    pub fn merge(&mut self, other: &Self) {
        if self.calls == 0 || other.calls > 0 && other.first.0 < self.first.0 {
            self.first = other.first;
        }
        if other.last.0 >= self.last.0 {
            (self.last, self.signature) = (other.last, other.signature);
        }
        self.calls = self.calls.saturating_add(other.calls);
        for (tokens, others) in self.tokens.iter_mut().zip(&other.tokens) {
            let mut all: HashMap<u64, u32> = tokens.drain(..).collect();
            for (token, count) in others {
                *all.entry(*token).or_default() += count;
            }
            tokens.extend(all);
            shorten(tokens, COUNTED);
        }
    }

    /// Tokens of a kind and their calls, in no order.
    pub fn tokens(&self, kind: Kind) -> &[(u64, u32)] {
        &self.tokens[kind as usize]
    }

    /// The tokens that most calls had, as if of one call.
    pub fn typical(&self) -> Evidence {
        let mut evidence = Evidence::default();
        for (token, tokens) in evidence.0.iter_mut().zip(&self.tokens) {
            let most = tokens.iter().max_by_key(|(token, count)| (*count, *token));
            *token = most.map_or(0, |(token, _)| *token);
        }
        evidence
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.calls == 0
    }

    /// As JSON, the commonest tokens of each kind.
    pub fn to_json(&self) -> String {
        let mut kinds = serde_json::Map::new();
        for kind in Kind::ALL {
            let mut tokens = self.tokens(kind).to_vec();
            if tokens.is_empty() {
                continue;
            }
            shorten(&mut tokens, TOKENS);
            let pair =
                |(token, count): &(u64, u32)| serde_json::json!([format!("{token:016x}"), count]);
            kinds.insert(kind.name().into(), tokens.iter().map(pair).collect());
        }
        serde_json::json!({
            "version": 1,
            "calls": self.calls,
            "first": self.first.0,
            "last": self.last.0,
            "signature": format!("{:016x}", self.signature),
            "evidence": kinds,
        })
        .to_string()
    }

    /// From JSON; `None` when it is none of ours.
    pub fn from_json(text: &str) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        if value["version"] != 1 {
            return None;
        }
        let hex = |value: &serde_json::Value| u64::from_str_radix(value.as_str()?, 16).ok();
        let mut this = Self {
            calls: u32::try_from(value["calls"].as_u64()?).ok()?,
            first: Timestamp(value["first"].as_u64()?),
            last: Timestamp(value["last"].as_u64()?),
            signature: hex(&value["signature"])?,
            ..Self::default()
        };
        for kind in Kind::ALL {
            let Some(tokens) = value["evidence"][kind.name()].as_array() else { continue };
            for token in tokens.iter().take(TOKENS) {
                let count = u32::try_from(token[1].as_u64()?).ok()?;
                this.tokens[kind as usize].push((hex(&token[0])?, count));
            }
        }
        Some(this)
    }
}

/// Keeps the commonest, those of smaller hash first among equals.
fn shorten(tokens: &mut Vec<(u64, u32)>, most: usize) {
    tokens.sort_unstable_by_key(|(token, count)| (std::cmp::Reverse(*count), *token));
    tokens.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::Portrait;
    use crate::{
        profiles::{Evidence, KINDS, Kind},
        time::Timestamp,
    };

    fn evidence(numbers: [u64; KINDS]) -> Evidence {
        Evidence(numbers)
    }

    #[test]
    fn read_as_it_was_written() {
        let mut portrait = Portrait::default();
        for call in 0..200u64 {
            let mut tokens = [7; KINDS];
            tokens[Kind::Shown as usize] = 1_000 + call;
            tokens[Kind::Display as usize] = 0;
            portrait.add(&evidence(tokens), 5, Timestamp(call));
        }
        assert_eq!(portrait.calls, 200);
        assert_eq!(portrait.tokens(Kind::Source), [(7, 200)]);
        assert!(portrait.tokens(Kind::Shown).len() <= 64, "bounded");
        let read = Portrait::from_json(&portrait.to_json()).expect("ours");
        assert_eq!((read.calls, read.last, read.signature), (200, Timestamp(199), 5));
        assert_eq!(read.typical().get(Kind::Source), 7);
        assert_eq!(read.tokens(Kind::Shown).len(), 16);
        assert_eq!(Portrait::from_json(&read.to_json()), Some(read.clone()));
        for bad in ["", "{}", "[1]", r#"{"version":2}"#, r#"{"version":1,"calls":-1}"#] {
            assert_eq!(Portrait::from_json(bad), None, "{bad}");
        }
        let mut both = read.clone();
        both.merge(&read);
        assert_eq!((both.calls, both.tokens(Kind::Stack)), (400, &[(7, 400)][..]));
    }
}

//! What lists say of a score, after the model: an allowed caller's is low unless the
//! signalling contradicts, a denied one's is high. docs/lists.md tells the rules.

use scorer_common::verdict::Level;

use super::{Reason, Thresholds};
use crate::{
    features::{Vector, id, listed},
    lists::{Hit, Hits, List},
};

/// What lists may do to a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListRules {
    /// Level that a denied caller has at least; `None` leaves the score.
    pub deny: Option<Level>,
    /// The same where nothing but a header fingerprint is denied, which others share.
    pub deny_fingerprint: Option<Level>,
    /// An allowed caller that nothing contradicts is below medium.
    pub allow: bool,
}

impl Default for ListRules {
    fn default() -> Self {
        Self { deny: Some(Level::Critical), deny_fingerprint: Some(Level::High), allow: true }
    }
}

/// What the lists did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Effect {
    /// The score was held low.
    Capped,
    /// The score was lifted.
    Raised,
    /// An allowed caller that the signalling contradicts: the score is the model's, or
    /// higher where it is denied, too.
    Contradicted,
    /// Named by a list, and the score is the model's.
    Noted,
}

impl Effect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Capped, Self::Raised, Self::Contradicted, Self::Noted];

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capped => "capped",
            Self::Raised => "raised",
            Self::Contradicted => "contradicted",
            Self::Noted => "noted",
        }
    }
}

/// How a score stands after the lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ruling {
    /// 0–100.
    pub(crate) score: u8,
    /// What was done; `None` where no list names the call.
    pub(crate) effect: Option<Effect>,
    /// The entry it was done for.
    pub(crate) hit: Option<Hit>,
    /// The caller counts as allowed.
    pub(crate) allowed: bool,
    /// What is to be said first: of the entry that denies, and of what contradicts.
    pub(crate) reasons: [Option<Reason>; 2],
}

/// Holds a model's score against the lists.
pub(crate) fn rule(
    hits: &Hits,
    features: &Vector,
    score: u8,
    levels: Thresholds,
    rules: ListRules,
) -> Ruling {
    let mut ruling = Ruling { score, effect: None, hit: None, allowed: false, reasons: [None; 2] };
    if let Some(hit) = hits.deny {
        let floor =
            if hit.list == List::DenyFingerprint { rules.deny_fingerprint } else { rules.deny };
        let floor = floor.map_or(0, |level| levels.begin(level));
        ruling.hit = Some(hit);
        ruling.effect = Some(if floor > score { Effect::Raised } else { Effect::Noted });
        ruling.score = score.max(floor);
        let contribution = log_odds(ruling.score) - log_odds(score);
        ruling.reasons[0] = Some(Reason { feature: feature(hit.list), value: 1.0, contribution });
    }
    let Some(hit) = hits.allow else { return ruling };
    if let Some(why) = contradiction(hits, features) {
        let of = if matches!(hit.list, List::AllowNumber | List::AllowRange) {
            id::ALLOW_NUMBER
        } else {
            id::ALLOW_SOURCE
        };
        ruling.effect = Some(Effect::Contradicted);
        ruling.hit = ruling.hit.or(Some(hit));
        ruling.reasons[1] = Some(Reason { feature: of, value: why, contribution: 0.0 });
        return ruling;
    }
    ruling.allowed = true;
    ruling.hit = Some(hit);
    // Below medium; a fingerprint alone is easily imitated.
    let cap = levels.medium.saturating_sub(1);
    let holds = rules.allow && hit.list != List::AllowFingerprint && score > cap;
    ruling.effect = Some(if holds { Effect::Capped } else { Effect::Noted });
    if holds {
        ruling.score = cap;
    }
    ruling
}

/// What of the call cannot be if it is from whom the allow list means.
fn contradiction(hits: &Hits, features: &Vector) -> Option<f32> {
    let value = |feature: u16| features[usize::from(feature)];
    let is = |feature: u16| value(feature) == 1.0;
    let by_number =
        hits.allow.is_some_and(|hit| matches!(hit.list, List::AllowNumber | List::AllowRange));
    if hits.deny.is_some() {
        return Some(listed::DENIED);
    }
    if value(id::STIR_SIGNATURE_VALID) == 0.0
        || is(id::STIR_PARSE_ERROR)
        || is(id::STIR_CERTIFICATE_EXPIRED)
    {
        return Some(listed::BAD_SIGNATURE);
    }
    match hits.from_usual {
        Some(false) => return Some(listed::OTHER_SOURCE),
        // Its entry names no place: a configured trunk, that carries such numbers, is
        // one that it can come over.
        None if by_number
            && (value(id::SOURCE_KNOWN_TRUNK) == 0.0
                || is(id::CALLER_COUNTRY_UNEXPECTED_FOR_TRUNK)) =>
        {
            return Some(listed::OTHER_SOURCE);
        }
        Some(true) | None => {}
    }
    (by_number && hits.half_allowed).then_some(listed::OTHER_NUMBER)
}

/// The feature that stands for a list.
pub(crate) const fn feature(list: List) -> u16 {
    match list {
        List::AllowNumber | List::AllowRange => id::ALLOW_NUMBER,
        List::AllowSource | List::AllowTrunk | List::AllowFingerprint | List::AllowProfile => {
            id::ALLOW_SOURCE
        }
        List::DenyNumber => id::DENY_NUMBER,
        List::DenyRange => id::DENY_RANGE,
        List::DenySource | List::DenyTrunk => id::DENY_SOURCE,
        List::DenyFingerprint => id::DENY_FINGERPRINT,
        List::DenyProfile => id::DENY_PROFILE,
        List::Consortium | List::ConsortiumStrong => id::CONSORTIUM_MATCHES,
        List::Scanner => id::SCANNER_LIST,
    }
}

/// Of a score; its ends as half a point.
fn log_odds(score: u8) -> f32 {
    let share = (f32::from(score) / 100.0).clamp(0.005, 0.995);
    (share / (1.0 - share)).ln()
}

#[cfg(test)]
mod tests {
    use super::{Effect, ListRules, Thresholds, rule};
    use crate::{
        env::Trunks,
        features::{COUNT, id, listed},
        lists::{Entry, Hits, List, Lists, Query},
        number::Number,
        time::Timestamp,
    };

    fn hits(entries: &[(List, &str)], shown: &str, network: &str) -> Hits {
        let entries = entries.iter().map(|(list, value)| Entry {
            list: *list,
            value,
            reason: "",
            expires: None,
            from: "",
            row: None,
            organisations: 0,
            shared_at: 0,
        });
        let lists = Lists::from_entries(entries, &Trunks::default(), None).expect("good entries");
        let number = |text: &str| Number::parse(text.as_bytes(), None);
        let (shown, network) = (number(shown), number(network));
        lists.look(&Query {
            shown: shown.as_ref(),
            network: network.as_ref(),
            fingerprint: 7,
            profile: 9,
            source: [192, 0, 2, 1].into(),
            trunk: None,
            now: Timestamp::new(1, 0),
        })
    }

    const NUMBER: &str = "+441632960001";

    #[test]
    fn allowed_denied_and_contradicted() {
        let (levels, rules) = (Thresholds::default(), ListRules::default());
        let plain = [f32::NAN; COUNT];
        let allowed = hits(&[(List::AllowNumber, NUMBER)], NUMBER, NUMBER);
        let ruling = rule(&allowed, &plain, 95, levels, rules);
        assert_eq!((ruling.score, ruling.effect, ruling.allowed), (39, Some(Effect::Capped), true));
        assert_eq!(rule(&allowed, &plain, 12, levels, rules).score, 12);
        let off = ListRules { allow: false, ..rules };
        assert_eq!(rule(&allowed, &plain, 95, levels, off).score, 95);

        for (feature, value, why) in [
            (id::STIR_SIGNATURE_VALID, 0.0, listed::BAD_SIGNATURE),
            (id::SOURCE_KNOWN_TRUNK, 0.0, listed::OTHER_SOURCE),
            (id::CALLER_COUNTRY_UNEXPECTED_FOR_TRUNK, 1.0, listed::OTHER_SOURCE),
        ] {
            let mut features = plain;
            features[usize::from(feature)] = value;
            let ruling = rule(&allowed, &features, 95, levels, rules);
            assert_eq!((ruling.score, ruling.effect), (95, Some(Effect::Contradicted)));
            assert!(!ruling.allowed);
            assert_eq!(ruling.reasons[1].map(|reason| reason.value), Some(why));
        }
        let spoofed = hits(&[(List::AllowNumber, NUMBER)], NUMBER, "+441632960099");
        let ruling = rule(&spoofed, &plain, 95, levels, rules);
        assert_eq!(ruling.reasons[1].map(|reason| reason.value), Some(listed::OTHER_NUMBER));
        // An extension that shows the main number of the same, allowed, exchange.
        let exchange = hits(&[(List::AllowRange, "+44163296")], NUMBER, "+441632960099");
        assert_eq!(rule(&exchange, &plain, 95, levels, rules).score, 39);

        let denied = hits(&[(List::DenyNumber, NUMBER)], "", NUMBER);
        let ruling = rule(&denied, &plain, 5, levels, rules);
        assert_eq!((ruling.score, ruling.effect), (90, Some(Effect::Raised)));
        assert!(ruling.reasons[0].is_some_and(|reason| reason.contribution > 5.0));
        let shared = hits(&[(List::DenyFingerprint, "7")], NUMBER, NUMBER);
        assert_eq!(rule(&shared, &plain, 5, levels, rules).score, 70);
        let both = hits(&[(List::DenyProfile, "9"), (List::AllowNumber, NUMBER)], NUMBER, NUMBER);
        let ruling = rule(&both, &plain, 5, levels, rules);
        assert_eq!((ruling.score, ruling.effect), (90, Some(Effect::Contradicted)));
        assert!(ruling.reasons.iter().all(Option::is_some));
        assert_eq!(rule(&Hits::default(), &plain, 55, levels, rules).effect, None);
    }
}

//! The person behind the numbers.

use super::{Vector, id, maybe};
use crate::{history::Recall, maths::ln_1p};

pub(super) fn fill(recall: &Recall, out: &mut Vector) {
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let person = &recall.person;
    set(id::PROFILE_AGE, person.age);
    set(id::PROFILE_CALLS, ln_1p(person.calls));
    set(id::PROFILE_NUMBERS, ln_1p(person.numbers));
    set(id::PROFILE_FINGERPRINTS, ln_1p(person.fingerprints));
    set(id::PROFILE_TARGETS, ln_1p(person.callees));
    set(id::PROFILE_LIKENESS_TO_PAST, person.likeness);
    set(id::PROFILE_LIKENESS_TO_FRAUD, recall.fraud_likeness);
    set(id::PROFILE_RISK_BEFORE, person.risk);
    set(id::PROFILE_FRAUD_LABELS, ln_1p(person.fraud));
    set(id::PROFILE_GENUINE_SHARE, person.genuine);
    set(id::PROFILE_LABEL_AGE, person.since_label);
    set(id::LINKED_FRAUD_CALLS, ln_1p(recall.linked_fraud));
    set(id::LINKED_ORGANISATIONS, person.organisations);
    let several = (person.calls > 0.0).then_some(person.fingerprints > 1.5);
    set(id::NUMBER_WITH_OTHER_FINGERPRINTS, maybe(several));
    set(id::FINGERPRINT_WITH_OTHER_NUMBERS, ln_1p(recall.fingerprint.partners - 1.0));
}

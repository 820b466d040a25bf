//! What is said about a call beside its score. Each rule is plain and stands on
//! its own; none looks at the score.

use scorer_common::verdict::{Tag, Tags};

use crate::{
    features::{Call, Vector, id},
    history::Recall,
    number::is_emergency,
    sip::HeaderName,
};

/// Places of half-lives among counts.
const MINUTE: usize = 1;
const HOUR: usize = 3;

/// Calls of one caller (half-life one hour) from which it repeats.
const REPEAT: f32 = 1.5;
/// Different callees of one caller from which a machine may be dialling.
const DIALLED_THROUGH: f32 = 20.0;
/// Calls to one callee (half-life one minute) that are a flood.
const FLOOD: f32 = 30.0;

/// The tags of a call.
pub fn tags(call: &Call<'_>, recall: &Recall, features: &Vector) -> Tags {
    let parts = &call.parts;
    let is = |feature: u16| features[usize::from(feature)] == 1.0;
    let value = |feature: u16| features[usize::from(feature)];
    let withheld = parts.withheld();
    let caller = &recall.caller;
    let brief = caller.brief > 0.5;
    let many = caller.partners >= DIALLED_THROUGH;
    let mut tags = Tags::NONE;
    let mut say = |tag, so| {
        if so {
            tags.insert(tag);
        }
    };
    // A number is shown, the network asserts one, and they differ. Forwarding
    // and presentation numbers do the same lawfully; the word is the field's.
    say(
        Tag::Spoofed,
        is(id::PRESENTATION_DIFFERS_FROM_NETWORK) && !call.message.has(HeaderName::Diversion),
    );
    say(Tag::Withheld, withheld);
    say(Tag::Repeat, caller.calls[HOUR] >= REPEAT);
    say(
        Tag::RepeatWithheld,
        withheld && recall.callee.withheld_calls >= 1.0 && recall.pair.calls[HOUR] >= 0.9,
    );
    // Over-the-top stacks behind a private network, or clients that speak ICE or
    // Opus, are not trunks of a switch.
    say(
        Tag::Voip,
        is(id::CONTACT_PRIVATE_IP)
            || is(id::SDP_ORIGIN_IP_PRIVATE)
            || is(id::SDP_ICE)
            || is(id::CALLER_VOIP),
    );
    say(Tag::International, is(id::INTERNATIONAL_CALL));
    say(Tag::HighCost, is(id::CALLEE_HIGH_COST));
    // All but the last four digits alike, and not the same.
    let shared = value(id::CALLER_DIGITS_SHARED_WITH_CALLEE);
    let length = value(id::CALLER_LENGTH);
    say(Tag::Neighbour, shared >= 7.0 && shared >= length - 4.0 && !is(id::CALLER_EQUALS_CALLEE));
    say(Tag::Scanner, is(id::USER_AGENT_IS_SCANNER) || is(id::SCANNER_LIST));
    say(Tag::Robocall, many && !brief && caller.calls[MINUTE] >= 3.0);
    say(Tag::Wangiri, many && brief);
    let callee = &recall.callee;
    say(Tag::Tdos, callee.calls[MINUTE] >= FLOOD && callee.partners >= FLOOD / 2.0);
    say(Tag::Irsf, value(id::IRSF_PATTERN) >= 0.3);
    // Not where the tables do not say.
    say(Tag::Unallocated, value(id::CALLER_RANGE_ALLOCATED) == 0.0);
    say(Tag::DoNotOriginate, is(id::CALLER_DO_NOT_ORIGINATE) || is(id::CALLER_PROTECTED));
    let denied =
        [id::DENY_NUMBER, id::DENY_RANGE, id::DENY_FINGERPRINT, id::DENY_PROFILE, id::DENY_SOURCE];
    let denied = denied.into_iter().any(is);
    say(Tag::Denylisted, denied);
    say(Tag::Allowlisted, is(id::ALLOW_NUMBER) || is(id::ALLOW_SOURCE));
    say(Tag::Consortium, value(id::CONSORTIUM_MATCHES) > 0.0);
    say(Tag::Linked, recall.linked_fraud > 0.0 || recall.fraud_likeness > 0.95);
    say(Tag::KnownBad, recall.person.fraud > 0.0 || is(id::DENY_NUMBER) || is(id::DENY_PROFILE));
    say(Tag::Attested, is(id::STIR_ATTESTATION_A) || is(id::STIR_ATTESTATION_B));
    say(Tag::Unattested, call.stir.attest.is_none());
    let bad = value(id::STIR_SIGNATURE_VALID) == 0.0
        || is(id::STIR_PARSE_ERROR)
        || is(id::STIR_CERTIFICATE_EXPIRED);
    say(Tag::BadSignature, bad);
    let sos = parts.request_uri.is_some_and(|uri| {
        uri.raw.get(..15).is_some_and(|urn| urn.eq_ignore_ascii_case(b"urn:service:sos"))
    });
    let dialled = is_emergency(parts.callee_user()) || call.callee_about.marks.emergency();
    say(Tag::Emergency, sos || dialled);
    tags
}

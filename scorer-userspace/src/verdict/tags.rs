//! What is said about a call beside its score. Each rule is plain and stands on
//! its own; none looks at the score.

use scorer_common::verdict::{Tag, Tags};

use crate::{
    features::{Call, Vector, id},
    history::Recall,
    number::is_emergency,
    sip::HeaderName,
};

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
    let brief = recall.caller_short.is_some_and(|share| share > 0.5);
    let many = recall.caller_distinct_callees >= DIALLED_THROUGH;
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
    say(Tag::Repeat, recall.caller_1h >= REPEAT);
    say(
        Tag::RepeatWithheld,
        withheld && recall.withheld_to_callee_1h >= 1.0 && recall.pair_1h >= 0.9,
    );
    // Over-the-top stacks behind a private network, or clients that speak ICE or
    // Opus, are not trunks of a switch.
    say(Tag::Voip, is(id::CONTACT_PRIVATE_IP) || is(id::SDP_ORIGIN_IP_PRIVATE));
    say(Tag::International, is(id::INTERNATIONAL_CALL));
    say(Tag::HighCost, is(id::CALLEE_HIGH_COST));
    // All but the last four digits alike, and not the same.
    let shared = value(id::CALLER_DIGITS_SHARED_WITH_CALLEE);
    let length = value(id::CALLER_LENGTH);
    say(Tag::Neighbour, shared >= 7.0 && shared >= length - 4.0 && !is(id::CALLER_EQUALS_CALLEE));
    say(Tag::Scanner, is(id::USER_AGENT_IS_SCANNER));
    say(Tag::Robocall, many && !brief && recall.caller_1m >= 3.0);
    say(Tag::Wangiri, many && brief);
    say(Tag::Tdos, recall.callee_1m >= FLOOD && recall.callee_distinct_callers >= FLOOD / 2.0);
    say(Tag::Unattested, !call.message.has(HeaderName::Identity));
    say(Tag::Emergency, is_emergency(parts.callee_user()));
    tags
}

//! Who is behind calls, whatever numbers they show: profiles.
//!
//! A call says many things of its caller: numbers, the place it comes from, how it is
//! signalled, whom it calls, when. Each is a token ([`Evidence`]). Of the profiles that
//! share one of them the likeliest is the call's, if it is likelier than a new caller
//! ([`Profiles`]); what many have in common counts for little, what one caller alone has
//! for much. Off the scoring thread, whole profiles are held against each other
//! ([`Linker`]), and a call, a number or a profile is looked into ([`Inquiry`]).
//! docs/profiles.md tells the method and what it is worth.

mod evidence;
mod inquiry;
mod kind;
mod known;
mod link;
mod measure;
mod model;
mod portrait;
mod profile;
mod rows;
mod sheet;
mod snapshot;
mod table;
mod token;
mod weigh;

pub(crate) use snapshot::LAYOUT;

pub use self::{
    inquiry::{Asked, Inquiry, InquiryError, Sheet, Used, parse_id},
    kind::{Evidence, KINDS, Kind},
    link::{Link, Linker, Why},
    measure::{Measured, Pairs, Truth},
    portrait::Portrait,
    rows::{CallRow, Outcome},
    table::{Belongs, Found, Place, Profiles},
    token::id_of,
    weigh::Says,
};

#[cfg(test)]
mod tests;

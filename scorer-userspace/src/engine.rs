//! The engine: frames in, assessments of calls out.

use scorer_common::Verdict;

use crate::capture::{Frame, PacketMeta};

/// Everything said about one call. Borrowed for the time of the callback.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// The record that travels.
    pub verdict: Verdict,
    /// Call-ID as it stands.
    pub call_id: &'a [u8],
    /// Caller's number or user as presented (From); empty when there is none.
    pub caller: &'a [u8],
    /// Callee's number or user (Request-URI, else To).
    pub callee: &'a [u8],
    /// From user exactly as it stands, for comparison with other tools.
    pub from_user: &'a [u8],
    /// To user exactly as it stands.
    pub to_user: &'a [u8],
    /// Number the network asserts (P-Asserted-Identity, else Remote-Party-ID), also when withheld.
    pub network_number: Option<&'a [u8]>,
    /// Addresses, transport.
    pub meta: PacketMeta,
    /// Feature vector, in registry order.
    pub features: &'a [f32],
    /// Reasons, strongest first.
    pub reasons: &'a [Reason],
    /// Model's name.
    pub model: &'a str,
}

/// One reason for a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// Index into [`crate::features::REGISTRY`].
    pub feature: u16,
    /// Its value.
    pub value: f32,
    /// What it contributed, log-odds; above zero speaks for fraud.
    pub contribution: f32,
}

/// Turns frames into assessments. Pure: no I/O, no clock, no threads.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Takes one frame; calls `each` once for every call attempt first seen in it.
    pub fn inspect(&mut self, _frame: &Frame<'_>, _each: &mut dyn FnMut(&Assessment<'_>)) {
        todo!()
    }
}

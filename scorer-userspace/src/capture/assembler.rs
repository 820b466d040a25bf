//! From frames to SIP messages.

use super::{Frame, SipPacket};

/// Bounds and ports.
#[derive(Clone, Debug)]
pub struct AssemblerConfig {
    /// Ports on which SIP is expected; elsewhere it must show by content.
    pub sip_ports: Vec<u16>,
}

impl Default for AssemblerConfig {
    fn default() -> Self {
        Self { sip_ports: vec![5060] }
    }
}

/// What became of the frames, counted.
#[derive(Clone, Debug, Default)]
pub struct AssemblerStats {}

/// Decodes frames, joins fragments and TCP segments, removes mirrored copies.
/// Memory is bounded by its configuration whatever the frames hold.
#[derive(Debug)]
pub struct Assembler {}

impl Assembler {
    /// An assembler that has seen nothing.
    pub fn new(_config: &AssemblerConfig) -> Self {
        Self {}
    }

    /// Takes one frame and calls `each` for every SIP message it completes.
    pub fn push(&mut self, _frame: &Frame<'_>, _each: &mut dyn FnMut(&SipPacket<'_>)) {
        todo!()
    }

    /// Counters since the start.
    pub fn stats(&self) -> &AssemblerStats {
        todo!()
    }
}

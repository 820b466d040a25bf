//! Profiles as part of the history's snapshot.

use bytemuck::bytes_of;

use super::{known::Known, profile::Profile, table::Profiles};
use crate::history::table::Table;

/// Changes with the size of anything that is written.
pub(crate) const LAYOUT: u64 = (size_of::<Known>() as u64) << 8 | size_of::<Profile>() as u64;

impl Profiles {
    /// Tokens, as the history writes tables.
    pub(crate) const fn tokens(&self) -> &Table<Known> {
        &self.tokens
    }

    /// The same to be filled.
    pub(crate) const fn tokens_mut(&mut self) -> &mut Table<Known> {
        &mut self.tokens
    }

    /// Adds the live ones of `count` places, each behind its place; how many places there
    /// are.
    pub(crate) fn dump(&self, from: usize, count: usize, out: &mut Vec<u8>) -> usize {
        let profiles = self.places.get();
        for (at, profile) in profiles.iter().enumerate().skip(from).take(count) {
            if profile.id != 0 {
                out.extend_from_slice(&(at as u32).to_le_bytes());
                out.extend_from_slice(bytes_of(profile));
            }
        }
        profiles.len()
    }

    /// Takes what [`Self::dump`] wrote; false when it is none of ours. Places that there
    /// are not any more are left out.
    pub(crate) fn fill(&mut self, section: &[u8]) -> bool {
        let size = 4 + size_of::<Profile>();
        if !section.len().is_multiple_of(size) {
            return false;
        }
        for entry in section.chunks_exact(size) {
            let (at, profile) = entry.split_at(4);
            let at: u32 = bytemuck::pod_read_unaligned(at);
            if let Some(place) = self.places.get_mut().get_mut(at as usize) {
                let mut profile: Profile = bytemuck::pod_read_unaligned(profile);
                // Cases are told anew.
                profile.forget_case();
                *place = profile;
            }
        }
        true
    }

    /// The rest.
    pub(crate) fn rest(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out[..8].copy_from_slice(&(self.hand as u64).to_le_bytes());
        out[8..12].copy_from_slice(&self.everybody.to_le_bytes());
        out[12..16].copy_from_slice(&self.last.to_le_bytes());
        out[16..20].copy_from_slice(&self.rate.to_le_bytes());
        out[24..].copy_from_slice(&self.rate_last.to_le_bytes());
        out
    }

    /// Takes what [`Self::rest`] gave; false when it is none of ours.
    pub(crate) fn take_rest(&mut self, section: &[u8]) -> bool {
        if section.len() != 32 {
            return false;
        }
        let float = |at: usize| bytemuck::pod_read_unaligned::<f32>(&section[at..at + 4]);
        let hand: u64 = bytemuck::pod_read_unaligned(&section[..8]);
        self.hand = (hand % self.places.len() as u64) as usize;
        (self.everybody, self.rate) = (float(8).max(0.0), float(16).max(0.0));
        self.last = bytemuck::pod_read_unaligned(&section[12..16]);
        self.rate_last = bytemuck::pod_read_unaligned(&section[24..32]);
        true
    }
}

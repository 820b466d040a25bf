//! What one step leaves for the next, in this CPU's memory.
//!
//! Headers have many shapes, and the verifier follows each. Were results handed
//! on in registers it would follow every shape of one header through every shape
//! of the next, and all of them through the scan. Out of memory they are unknown
//! numbers all alike; so the steps are functions of their own that meet here.

use crate::maps::JOB;

macro_rules! job {
    ($($(#[doc = $doc:literal])+ $field:ident / $set:ident: $type:ty),+ $(,)?) => {
        /// Fields of the one map value.
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct Fields {
            $($field: $type,)+
            identities: [u32; 2],
            source: [u64; 2],
            destination: [u64; 2],
        }

        impl Job {
            $(
                $(#[doc = $doc])+
                #[inline(always)]
                pub fn $field(self) -> $type {
                    // SAFETY: a live map value of this CPU.
                    unsafe { (&raw const (*self.0).$field).read_volatile() }
                }

                #[inline(always)]
                pub fn $set(self, value: $type) {
                    // SAFETY: as above.
                    unsafe { (&raw mut (*self.0).$field).write_volatile(value) }
                }
            )+
        }
    };
}

/// Handle to this CPU's job. Every access is volatile: the verifier is to see
/// unknown numbers, not the paths they came by.
#[derive(Clone, Copy)]
pub struct Job(*mut Fields);

job! {
    /// Offset of the header that comes next, see [`Job::offset`].
    raw_offset / set_offset: usize,
    /// EtherType of the header that comes next.
    ethertype / set_ethertype: u32,
    /// IP version, 4 or 6.
    family / set_family: u32,
    /// Protocol behind the IP header and its extensions.
    protocol / set_protocol: u32,
    /// Offset of what the IP packet carries, see [`Job::payload`].
    raw_payload / set_payload: usize,
    /// Offset behind the IP packet, as its length field says.
    end / set_end: usize,
    /// Fragment identification.
    id / set_id: u32,
    /// Fragment offset, in units of eight bytes.
    fragment_offset / set_fragment_offset: u32,
    /// 1 when more fragments follow.
    more_fragments / set_more_fragments: u32,
    /// Offset of the SIP text in the frame.
    text / set_text: usize,
    /// Length of the SIP text, bytes.
    text_length / set_text_length: usize,
    /// A `Kind`, or 0 for nothing.
    kind / set_kind: u32,
    /// What the gate has said so far.
    gate / set_gate: u32,
    /// Hash of a number under way.
    hash / set_hash: u64,
    /// Not 0 once the user part of a URI is reached.
    inside / set_inside: u32,
    /// The last four bytes of a line.
    last / set_last: u32,
    /// 1 when a tunnel or mirror header was taken off.
    wrapped / set_wrapped: u32,
    /// Hash of the Call-ID; 0 when there is none.
    call / set_call: u64,
    /// Header lines that name the callee, To.
    to_lines / set_to_lines: u32,
    /// 1 when To has a tag.
    to_tag / set_to_tag: u32,
}

impl Job {
    /// This CPU's job.
    #[inline(always)]
    pub fn get() -> Option<Self> {
        JOB.get_ptr_mut(0).map(Self)
    }

    /// Offset of an identity line in the SIP text; 0 when there is none.
    #[inline(always)]
    pub fn identity(self, index: usize) -> u32 {
        // SAFETY: a live map value; the mask keeps the index in the array.
        unsafe { (&raw const (*self.0).identities).cast::<u32>().add(index & 1).read_volatile() }
    }

    #[inline(always)]
    pub fn set_identity(self, index: usize, offset: u32) {
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.0).identities).cast::<u32>().add(index & 1).write_volatile(offset);
        }
    }

    /// Offset of the header that comes next. Nothing beyond 4,095 is ever set (see
    /// `frame::DEEPEST`); the mask says so to the verifier.
    #[inline(always)]
    pub fn offset(self) -> usize {
        self.raw_offset() & 0xfff
    }

    /// Offset of what the IP packet carries, likewise.
    #[inline(always)]
    pub fn payload(self) -> usize {
        self.raw_payload() & 0xfff
    }

    /// Source address in network order, IPv4 in the first four bytes.
    #[inline(always)]
    pub fn source(self) -> [u8; 16] {
        // SAFETY: a live map value.
        bytes(unsafe { (&raw const (*self.0).source).read_volatile() })
    }

    /// Destination address, likewise.
    #[inline(always)]
    pub fn destination(self) -> [u8; 16] {
        // SAFETY: as above.
        bytes(unsafe { (&raw const (*self.0).destination).read_volatile() })
    }

    #[inline(always)]
    pub fn set_addresses(self, source: [u64; 2], destination: [u64; 2]) {
        // SAFETY: as above.
        unsafe {
            (&raw mut (*self.0).source).write_volatile(source);
            (&raw mut (*self.0).destination).write_volatile(destination);
        }
    }

    #[inline(always)]
    pub fn is_fragment(self) -> bool {
        self.more_fragments() | self.fragment_offset() != 0
    }
}

#[inline(always)]
fn bytes(words: [u64; 2]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = words[0].to_ne_bytes();
    let [i, j, k, l, m, n, o, p] = words[1].to_ne_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

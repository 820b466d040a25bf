//! Tables. Their names and layouts are told in `scorer_common::maps`.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    macros::map,
    maps::{Array, DevMap, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, XskMap},
};
use scorer_common::{
    Counter,
    gate::{Bucket, Rule, Settings},
    limits::{FRAME, PortBitmap},
    record::{FlowKey, FragmentKey, InviteHeader, RecordHeader},
    steer::{Backlog, Beat, Follow, QUEUES},
};

/// Default size of a ring, bytes; the loader sets the configured one.
const RING: u32 = 16 << 20;

#[map]
pub static INVITES: RingBuf = RingBuf::with_byte_size(RING, 0);

#[map]
pub static DIALOGS: RingBuf = RingBuf::with_byte_size(RING, 0);

#[map]
pub static COUNTERS: PerCpuArray<[u64; Counter::COUNT]> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

#[map]
pub static SLEEPING: Array<u32> = Array::with_max_entries(1, 0);

#[map]
pub static PORTS: Array<PortBitmap> = Array::with_max_entries(1, 0);

#[map]
pub static FRAGMENTS: LruHashMap<FragmentKey, u8> = LruHashMap::with_max_entries(4096, 0);

#[map]
pub static FLOWS: LruHashMap<FlowKey, u8> = LruHashMap::with_max_entries(65_536, 0);

#[map]
pub static GATE_SOURCE4: LpmTrie<[u8; 4], Rule> =
    LpmTrie::with_max_entries(65_536, BPF_F_NO_PREALLOC);

#[map]
pub static GATE_SOURCE6: LpmTrie<[u8; 16], Rule> =
    LpmTrie::with_max_entries(65_536, BPF_F_NO_PREALLOC);

#[map]
pub static GATE_FINGERPRINT: HashMap<u64, Rule> =
    HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

#[map]
pub static GATE_NUMBER: HashMap<u64, Rule> =
    HashMap::with_max_entries(1_048_576, BPF_F_NO_PREALLOC);

#[map]
pub static GATE_BUCKETS: LruHashMap<[u8; 16], Bucket> = LruHashMap::with_max_entries(65_536, 0);

/// Sixteen spare bytes let the scan load words at the very end of a frame.
const SLACK: usize = 16;

/// Where an INVITE's record is put together. Ring reservations must be of a
/// constant size; from here a record of just its own length goes to the ring.
#[repr(C)]
pub struct InviteScratch {
    pub head: InviteHeader,
    pub frame: [u8; FRAME],
    pub slack: [u8; SLACK],
}

/// The same for every other record.
#[repr(C)]
pub struct DialogScratch {
    pub head: RecordHeader,
    pub frame: [u8; FRAME],
}

#[map]
pub static INVITE_SCRATCH: PerCpuArray<InviteScratch> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub static DIALOG_SCRATCH: PerCpuArray<DialogScratch> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub static JOB: PerCpuArray<crate::job::Fields> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub static FORWARD: DevMap = DevMap::with_max_entries(2, 0);

#[map]
pub static SOCKETS: XskMap = XskMap::with_max_entries(QUEUES, 0);

#[map]
pub static BEAT: Array<Beat> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
pub static BACKLOGS: Array<Backlog> = Array::with_max_entries(QUEUES, BPF_F_MMAPABLE);

#[map]
pub static FOLLOWED: LruHashMap<u64, Follow> = LruHashMap::with_max_entries(65_536, 0);

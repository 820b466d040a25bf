//! The XDP program in the kernel's own harness (`BPF_PROG_TEST_RUN`).

use aya::{
    Ebpf, Pod,
    maps::{HashMap, LpmTrie, MapData, PerCpuArray, RingBuf, lpm_trie::Key},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use scorer::tap::object;
use scorer_common::{
    Counter, Scan,
    gate::{Rule, Settings},
    maps,
    record::{InviteHeader, RecordHeader},
    steer::{self, Backlog, Beat, Follow},
};

/// `XDP_PASS`.
pub const PASS: u32 = 2;
/// `XDP_DROP`.
pub const DROP: u32 = 1;

/// The loaded object.
#[derive(Debug)]
pub struct Kernel {
    ebpf: Ebpf,
    program: &'static str,
}

/// A record read back from a ring.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its head.
    pub head: RecordHeader,
    /// The kernel's pass, for INVITEs.
    pub scan: Option<Scan>,
    /// The frame.
    pub frame: Vec<u8>,
}

impl Kernel {
    /// Loads it.
    ///
    /// # Panics
    /// When the kernel does not take it.
    #[expect(clippy::new_without_default, reason = "loading is no default")]
    pub fn new() -> Self {
        Self::of(maps::PROGRAM_TAP)
    }

    /// Loads it for another of its programs.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn of(program: &'static str) -> Self {
        let mut ebpf = object::load(&[5060], 1 << 22, 1 << 22).expect("the object loads");
        let loaded: &mut Xdp =
            ebpf.program_mut(program).expect("the program").try_into().expect("XDP");
        loaded.load().expect("the verifier takes it");
        Self { ebpf, program }
    }

    fn program(&self) -> &Xdp {
        self.ebpf.program(self.program).expect("the program").try_into().expect("XDP")
    }

    /// Says that user space is alive up to `deadline` (`CLOCK_MONOTONIC`, ns).
    ///
    /// # Panics
    /// When the map is not there.
    pub fn beat(&mut self, deadline: u64) {
        object::set(&mut self.ebpf, maps::BEAT, Beat { deadline }).expect("the beat");
    }

    /// Says how much of a queue was handed over and taken.
    ///
    /// # Panics
    /// When the map is not there.
    pub fn backlog(&mut self, backlog: Backlog) {
        object::set(&mut self.ebpf, maps::BACKLOGS, backlog).expect("the backlog");
    }

    /// Has later messages of a call go through user space.
    ///
    /// # Panics
    /// When the map is not there.
    pub fn follow(&mut self, call_id: &[u8], until: u64) {
        let map = self.ebpf.map_mut(maps::FOLLOWED).expect("the table");
        let mut table = HashMap::<_, u64, Follow>::try_from(map).expect("a table");
        table.insert(steer::call_hash(call_id), Follow { until }, 0).expect("inserted");
    }

    /// Instructions the verifier went through.
    ///
    /// # Panics
    /// When the kernel does not tell (before 5.16).
    pub fn verified(&self) -> u32 {
        self.program().info().expect("info").verified_instruction_count().expect("5.16")
    }

    /// Runs it over one frame; the action.
    ///
    /// # Panics
    /// When the kernel refuses the frame (under 14 bytes).
    pub fn run(&self, frame: &[u8]) -> u32 {
        self.repeat(frame, 1).0
    }

    /// Runs it over one frame many times; the action and the time of one run.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn repeat(&self, frame: &[u8], repeat: u32) -> (u32, std::time::Duration) {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let result = self.program().test_run(options).expect("test run");
        (result.return_value, result.duration)
    }

    /// Takes everything out of the rings: INVITEs, then the rest.
    ///
    /// # Panics
    /// When a ring is not there.
    pub fn records(&mut self) -> (Vec<Record>, Vec<Record>) {
        let mut read = |name: &str, invites: bool| {
            let mut ring =
                RingBuf::try_from(self.ebpf.map_mut(name).expect("ring")).expect("a ring");
            let mut records = Vec::new();
            while let Some(item) = ring.next() {
                records.push(record(&item, invites));
            }
            records
        };
        (read(maps::RING_INVITES, true), read(maps::RING_DIALOGS, false))
    }

    /// A counter, over all CPUs.
    ///
    /// # Panics
    /// When the map is not there.
    pub fn counter(&self, counter: Counter) -> u64 {
        let map = self.ebpf.map(maps::COUNTERS).expect("counters");
        let array: PerCpuArray<&MapData, [u64; Counter::COUNT]> =
            PerCpuArray::try_from(map).expect("counters");
        array.get(&0, 0).expect("counters").iter().map(|cpu| cpu[counter as usize]).sum()
    }

    /// Turns parts of the gate on.
    ///
    /// # Panics
    /// When the map is not there.
    pub fn gate(&mut self, settings: Settings) {
        object::set(&mut self.ebpf, maps::SETTINGS, settings).expect("settings");
    }

    /// Adds a rule to one of the gate's hash tables.
    ///
    /// # Panics
    /// When the map is not there.
    pub fn rule<K: Pod>(&mut self, table: &str, key: K, rule: Rule) {
        let map = self.ebpf.map_mut(table).expect("table");
        HashMap::<_, K, Rule>::try_from(map).expect("table").insert(key, rule, 0).expect("insert");
    }

    /// Adds a source prefix to the gate.
    ///
    /// # Panics
    /// When the map is not there.
    pub fn source(&mut self, prefix: u32, address: [u8; 4], rule: Rule) {
        let map = self.ebpf.map_mut(maps::GATE_SOURCE4).expect("table");
        let mut trie = LpmTrie::<_, [u8; 4], Rule>::try_from(map).expect("a trie");
        trie.insert(&Key::new(prefix, address), rule, 0).expect("insert");
    }

    /// Names of all maps.
    pub fn maps(&self) -> Vec<String> {
        self.ebpf.maps().map(|(name, _)| name.to_owned()).collect()
    }
}

fn record(item: &[u8], invite: bool) -> Record {
    let start = if invite { size_of::<InviteHeader>() } else { size_of::<RecordHeader>() };
    assert!(item.len() >= start, "a record of {} bytes", item.len());
    // SAFETY: long enough, and made of integers only; read_unaligned asks for no
    // alignment.
    let head = unsafe { item.as_ptr().cast::<RecordHeader>().read_unaligned() };
    let scan = invite.then(|| {
        // SAFETY: as above.
        unsafe { item.as_ptr().cast::<InviteHeader>().read_unaligned() }.scan
    });
    Record { head, scan, frame: item[start..start + head.length as usize].to_vec() }
}

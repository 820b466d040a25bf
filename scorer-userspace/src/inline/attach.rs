//! Puts the programs on their interfaces and makes what the scoring thread works
//! with.

use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{DevMap, HashMap, MapData, XskMap},
};
use nix::net::if_::if_nametoindex;
use scorer_common::{
    maps,
    steer::{QUEUES, TO_CARRIER, TO_CORE},
};
use xdp::nic::NicIndex;

use super::{
    InlineError, Judge, JudgeConfig, Worker, device, local::Pair, port::Port, service::Service,
    shared::Shared,
};
use crate::tap::{
    CounterReader, Pins, TapConfig, TapError,
    attach::{consumer, load, make_promiscuous, program, take},
    spin::Spin,
};

/// Where INVITEs go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To another interface: a bump in the wire.
    Core(String),
    /// To this host's stack, where the router listens.
    Local,
}

/// How inline mode is set up.
#[derive(Clone, Debug)]
pub struct InlineConfig {
    /// Interface towards the carrier.
    pub carrier: String,
    /// Where INVITEs go on.
    pub way: Way,
    /// Folder in a BPF file system.
    pub pins: PathBuf,
    /// How long after its last word the kernel takes the scoring thread for dead.
    pub deadline: Duration,
    /// How long an INVITE may take from the kernel's stamp until it is sent on; one
    /// that took longer goes on as it came.
    pub budget: Duration,
    /// Drivers whose sockets share memory with the card.
    pub zero_copy: Vec<String>,
    /// Name of the risk header.
    pub header: Box<str>,
    /// Value of Call-Info in 608 responses.
    pub call_info: Option<Box<str>>,
    /// Decide everything, change nothing.
    pub observe: bool,
}

impl Default for InlineConfig {
    fn default() -> Self {
        Self {
            carrier: String::new(),
            way: Way::Local,
            pins: "/sys/fs/bpf/scorer".into(),
            deadline: Duration::from_millis(8),
            budget: Duration::from_millis(2),
            zero_copy: Vec::new(),
            header: "X-Call-Risk".into(),
            call_info: None,
            observe: false,
        }
    }
}

/// Inline mode on its interfaces. Dropping it leaves the programs there: they pass
/// everything on, and the next process takes them up. [`Inline::remove`] takes them
/// off.
pub struct Inline {
    counters: CounterReader,
    worker: Option<Worker>,
    about: Vec<String>,
    _ebpf: Ebpf,
    _promiscuous: Vec<OwnedFd>,
}

impl std::fmt::Debug for Inline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inline").field("about", &self.about).finish_non_exhaustive()
    }
}

/// Largest IP packet that leaves an interface, bytes.
fn mtu(interface: &str) -> Result<usize, TapError> {
    device::mtu(interface)
        .map_err(|source| TapError::system(format!("cannot read the MTU of {interface}"), source))
}

fn index(interface: &str) -> Result<u32, TapError> {
    if_nametoindex(interface).map_err(|_| TapError::NoSuchInterface { name: interface.to_owned() })
}

/// Name of the driver; empty where there is none to tell.
fn driver(interface: &str) -> String {
    std::fs::read_link(format!("/sys/class/net/{interface}/device/driver"))
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_default()
}

/// How long a socket of an earlier process may take to go.
const PATIENCE: Duration = Duration::from_secs(3);

/// Binds a socket; waits where an earlier process still holds the queue.
fn open(
    (interface, ifindex): (&str, u32),
    queue: u32,
    receives: bool,
    zero_copy: bool,
) -> Result<Port, InlineError> {
    let since = Instant::now();
    loop {
        match Port::open(ifindex, queue, receives, zero_copy) {
            Ok(port) => return Ok(port),
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && since.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(source) => {
                return Err(InlineError::Socket { interface: interface.to_owned(), queue, source });
            }
        }
    }
}

/// Name of the pins of inline mode on an interface.
fn name(carrier: &str) -> String {
    format!("inline-{carrier}")
}

impl Inline {
    /// Loads the programs and puts them on their interfaces, in place of those of an
    /// earlier process without a gap.
    ///
    /// # Errors
    /// [`InlineError`]. What was attached before stays attached.
    pub fn attach(config: &InlineConfig, tap: &TapConfig) -> Result<Self, InlineError> {
        let carrier = (&*config.carrier, index(&config.carrier)?);
        let core = match &config.way {
            Way::Core(name) if *name == config.carrier => return Err(InlineError::SameInterface),
            Way::Core(name) => Some((&**name, index(name)?)),
            Way::Local => None,
        };
        let pins = Pins::new(&config.pins, &name(carrier.0))?;
        let mut ebpf = load(tap, Some(&pins))?;
        for program_name in [maps::PROGRAM_CARRIER, maps::PROGRAM_CORE] {
            program(&mut ebpf, program_name)?
                .load()
                .map_err(|source| TapError::Program { source: Box::new(source) })?;
        }
        forward(&mut ebpf, carrier.1, core.map(|core| core.1))?;
        let mut promiscuous = Vec::new();
        let mut about = Vec::new();
        let sides = [
            core.map(|core| (core, maps::PROGRAM_CORE, "link-core")),
            Some((carrier, maps::PROGRAM_CARRIER, "link-carrier")),
        ];
        for (interface, program_name, link) in sides.into_iter().flatten() {
            let program = program(&mut ebpf, program_name)?;
            let how = match pins.attach(program, link, interface, tap.mode)? {
                Some(true) => "native mode",
                Some(false) => "generic mode",
                None => "in place of an earlier one",
            };
            about.push(format!("{} ({program_name}, {how})", interface.0));
            if core.is_some() {
                promiscuous.push(make_promiscuous(interface.0, interface.1)?);
            }
        }
        let worker = worker(config, tap, &mut ebpf, carrier, core)?;
        Ok(Self {
            counters: worker.1,
            worker: Some(worker.0),
            about,
            _ebpf: ebpf,
            _promiscuous: promiscuous,
        })
    }

    /// The interfaces, and how programs run there.
    pub fn about(&self) -> &[String] {
        &self.about
    }

    /// Reads the programs' counters from any thread.
    pub fn counters(&self) -> CounterReader {
        self.counters.clone()
    }

    /// What the scoring thread works with; there is one.
    pub fn take_worker(&mut self) -> Option<Worker> {
        self.worker.take()
    }

    /// Takes the programs off the interfaces. Between two interfaces nothing is
    /// forwarded then. False when there were none.
    ///
    /// # Errors
    /// [`InlineError::Remove`].
    pub fn remove(config: &InlineConfig) -> Result<bool, InlineError> {
        let Some(pins) = Pins::existing(&config.pins, &name(&config.carrier)) else {
            return Ok(false);
        };
        let folder = pins.folder().to_owned();
        pins.remove().map_err(|source| InlineError::Remove { folder, source })?;
        Ok(true)
    }
}

/// Tells the kernel the ways on; there are none where the router is on this host.
fn forward(ebpf: &mut Ebpf, carrier: u32, core: Option<u32>) -> Result<(), TapError> {
    let map = ebpf.map_mut(maps::FORWARD).ok_or_else(|| {
        TapError::map(
            maps::FORWARD,
            aya::maps::MapError::InvalidName { name: maps::FORWARD.into() },
        )
    })?;
    let mut ways = DevMap::try_from(map).map_err(|source| TapError::map(maps::FORWARD, source))?;
    let Some(core) = core else { return Ok(()) };
    for (way, ifindex) in [(TO_CORE, core), (TO_CARRIER, carrier)] {
        ways.set(way, ifindex, None, 0).map_err(|error| {
            TapError::system("cannot tell the kernel the way on", std::io::Error::other(error))
        })?;
    }
    Ok(())
}

fn worker(
    config: &InlineConfig,
    tap: &TapConfig,
    ebpf: &mut Ebpf,
    carrier: (&str, u32),
    core: Option<(&str, u32)>,
) -> Result<(Worker, CounterReader), InlineError> {
    let zero_copy = |interface: &str| config.zero_copy.contains(&driver(interface));
    let queues =
        NicIndex::new(carrier.1).queue_counts().map(|queues| queues.rx_count().max(1)).map_err(
            |source| TapError::system(format!("cannot count the queues of {}", carrier.0), source),
        )?;
    if queues > QUEUES {
        return Err(InlineError::TooManyQueues { interface: carrier.0.to_owned(), queues });
    }
    let mut sockets = XskMap::try_from(take(ebpf, maps::SOCKETS)?)
        .map_err(|source| TapError::map(maps::SOCKETS, source))?;
    let mut ports = Vec::new();
    for queue in 0..queues {
        let port = open(carrier, queue, true, zero_copy(carrier.0))?;
        ports.push(port);
    }
    let (pair, onwards, mtu_onwards) = if let Some(core) = core {
        (None, open(core, 0, false, zero_copy(core.0))?, mtu(core.0)?)
    } else {
        let pair = Pair::new(carrier.1, mtu(carrier.0)?)?;
        let inner = index(&pair.inner)?;
        let port = open((&pair.inner, inner), 0, false, false)?;
        (Some(pair), port, mtu(carrier.0)?)
    };
    let service = Service::new(config.budget);
    let mut shared = Shared::new(&take(ebpf, maps::BEAT)?, &take(ebpf, maps::BACKLOGS)?)?;
    for port in &ports {
        shared.taken_all(port.queue(), service.spare());
        sockets
            .set(port.queue(), port.raw_fd(), 0)
            .map_err(|source| TapError::map(maps::SOCKETS, source))?;
    }
    let followed: HashMap<MapData, u64, scorer_common::steer::Follow> =
        HashMap::try_from(take(ebpf, maps::FOLLOWED)?)
            .map_err(|source| TapError::map(maps::FOLLOWED, source))?;
    let judge = Judge::new(JudgeConfig {
        header: config.header.clone(),
        mtu_onwards,
        mtu_back: mtu(carrier.0)?,
        call_info: config.call_info.clone(),
        observe: config.observe,
    });
    let counters = CounterReader::new(take(ebpf, maps::COUNTERS)?)?;
    let worker = Worker {
        ports,
        onwards,
        pair,
        _sockets: sockets,
        followed,
        shared,
        consumer: consumer(ebpf, tap)?,
        judge,
        deadline: config.deadline,
        budget: config.budget,
        cpu: tap.cpu,
        spin: Spin::new(tap.spin, tap.spin_busy),
        service,
    };
    Ok((worker, counters))
}

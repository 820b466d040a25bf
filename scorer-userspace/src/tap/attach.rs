//! Attaches the program and hands out what reads it.

use std::{os::fd::AsFd as _, sync::Arc};

use aya::{
    Ebpf,
    maps::{Array, Map, MapData, PerCpuArray},
    programs::{ProgramError, Xdp, XdpMode, xdp::XdpLinkId},
};
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket},
};
use scorer_common::{Counter, maps};

use super::{
    Consumer, Mode, Pins, TapConfig, TapError, object,
    ring::{Ring, duplicate},
    spin::Spin,
};

/// An interface with the program on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Name.
    pub interface: String,
    /// Index.
    pub ifindex: u32,
    /// In the driver rather than in the network stack.
    pub native: bool,
}

/// The program on its interfaces. Dropping it takes the program off.
pub struct Tap {
    logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
    /// Holds the links: they end with it.
    _ebpf: Ebpf,
    attached: Vec<Attached>,
    counters: CounterReader,
    consumer: Option<Consumer>,
    /// Sockets that keep interfaces promiscuous for as long as they are open.
    _promiscuous: Vec<std::os::fd::OwnedFd>,
}

impl Tap {
    /// Loads the program and attaches it to every interface of `config`.
    ///
    /// # Errors
    /// [`TapError`]; nothing stays attached then.
    pub fn attach(config: &TapConfig) -> Result<Self, TapError> {
        if config.interfaces.is_empty() {
            return Err(TapError::NoInterface);
        }
        let interfaces = config
            .interfaces
            .iter()
            .map(|name| {
                if_nametoindex(name.as_str())
                    .map(|index| (name, index))
                    .map_err(|_| TapError::NoSuchInterface { name: name.clone() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let keep = config.keep.as_deref().map(|root| {
            // One set of maps for all interfaces, named by the first.
            Pins::new(root, &format!("tap-{}", config.interfaces[0]))
        });
        let pins = keep.transpose()?;
        let mut ebpf = load(config, pins.as_ref())?;
        // Only a debug build of the object logs; of others there is nothing to read.
        let logger = aya_log::EbpfLogger::init(&mut ebpf).ok();
        // Before any map is taken out: the program refers to them by descriptor.
        program(&mut ebpf, maps::PROGRAM_TAP)?
            .load()
            .map_err(|source| TapError::Program { source: Box::new(source) })?;
        let consumer = consumer(&mut ebpf, config)?;
        let counters = CounterReader::new(take(&mut ebpf, maps::COUNTERS)?)?;
        let program = program(&mut ebpf, maps::PROGRAM_TAP)?;
        let mut attached = Vec::new();
        let mut promiscuous = Vec::new();
        for (name, ifindex) in interfaces {
            let native = match &pins {
                None => attach(program, name, ifindex, config.mode)?.1,
                Some(pins) => {
                    let link = format!("link-{name}");
                    let how = pins.attach(program, &link, (name, ifindex), config.mode)?;
                    // Where it took another's place, that one's mode.
                    how.unwrap_or(config.mode != Mode::Generic)
                }
            };
            attached.push(Attached { interface: name.clone(), ifindex, native });
            if config.promiscuous {
                promiscuous.push(make_promiscuous(name, ifindex)?);
            }
        }
        Ok(Self {
            logger,
            _ebpf: ebpf,
            attached,
            counters,
            consumer: Some(consumer),
            _promiscuous: promiscuous,
        })
    }

    /// The interfaces.
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Reads the program's counters from any thread.
    pub fn counters(&self) -> CounterReader {
        self.counters.clone()
    }

    /// Hands what a debug build of the object logged to the log.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// The reader of the rings; there is one.
    pub fn take_consumer(&mut self) -> Option<Consumer> {
        self.consumer.take()
    }
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("attached", &self.attached).finish_non_exhaustive()
    }
}

/// Reads the per-CPU counters.
#[derive(Clone)]
pub struct CounterReader(Arc<PerCpuArray<MapData, [u64; Counter::COUNT]>>);

impl std::fmt::Debug for CounterReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CounterReader").finish_non_exhaustive()
    }
}

impl CounterReader {
    pub(crate) fn new(map: Map) -> Result<Self, TapError> {
        PerCpuArray::try_from(map)
            .map(|array| Self(Arc::new(array)))
            .map_err(|source| TapError::map(maps::COUNTERS, source))
    }

    /// Every counter, summed over the CPUs.
    ///
    /// # Errors
    /// [`TapError::Map`] when the kernel refuses.
    pub fn read(&self) -> Result<[u64; Counter::COUNT], TapError> {
        let values = self.0.get(&0, 0).map_err(|source| TapError::map(maps::COUNTERS, source))?;
        let mut sums = [0u64; Counter::COUNT];
        for cpu in values.iter() {
            for (sum, value) in sums.iter_mut().zip(cpu) {
                *sum = sum.wrapping_add(*value);
            }
        }
        Ok(sums)
    }
}

/// Loads the configured object.
pub(crate) fn load(config: &TapConfig, pins: Option<&Pins>) -> Result<Ebpf, TapError> {
    let read = config.object.as_ref().map(|path| {
        std::fs::read(path).map_err(|source| {
            TapError::system(format!("cannot read the BPF object {}", path.display()), source)
        })
    });
    let read = read.transpose()?;
    let object = read.as_deref().unwrap_or(object::OBJECT);
    object::Loading {
        object,
        sip_ports: &config.sip_ports,
        invite_ring_bytes: config.invite_ring_bytes,
        dialog_ring_bytes: config.dialog_ring_bytes,
        pins,
    }
    .load()
}

/// The reader of the rings.
pub(crate) fn consumer(ebpf: &mut Ebpf, config: &TapConfig) -> Result<Consumer, TapError> {
    Ok(Consumer {
        invites: ring(ebpf, maps::RING_INVITES)?,
        dialogs: ring(ebpf, maps::RING_DIALOGS)?,
        sleeping: Array::try_from(take(ebpf, maps::SLEEPING)?)
            .map_err(|source| TapError::map(maps::SLEEPING, source))?,
        cpu: config.cpu,
        spin: Spin::new(config.spin, config.spin_busy),
        has_invite: false,
        skipped: 0,
    })
}

pub(crate) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, TapError> {
    ebpf.take_map(name).ok_or_else(|| {
        TapError::map(name, aya::maps::MapError::InvalidName { name: name.to_owned() })
    })
}

fn ring(ebpf: &mut Ebpf, name: &'static str) -> Result<Ring, TapError> {
    let map = take(ebpf, name)?;
    let Map::RingBuf(data) = &map else {
        let source = aya::maps::MapError::InvalidMapType { map_type: 0 };
        return Err(TapError::map(name, source));
    };
    let size = data.info().map_err(|source| TapError::map(name, source))?.max_entries();
    Ring::new(duplicate(data.fd().as_fd())?, size as usize)
}

pub(crate) fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Xdp, TapError> {
    let missing = || TapError::Program { source: Box::new(ProgramError::UnexpectedProgramType) };
    let program = ebpf.program_mut(name).ok_or_else(missing)?;
    let program: &mut Xdp = program.try_into().map_err(|_| missing())?;
    Ok(program)
}

/// Attaches to one interface; the link, and whether natively.
pub(crate) fn attach(
    program: &mut Xdp,
    name: &str,
    ifindex: u32,
    mode: Mode,
) -> Result<(XdpLinkId, bool), TapError> {
    let mut attempt = |native: bool| {
        let mode = if native { XdpMode::Driver } else { XdpMode::Skb };
        program.attach_to_if_index(ifindex, mode).map(|link| (link, native))
    };
    let result = match mode {
        Mode::Native => attempt(true),
        Mode::Generic => attempt(false),
        Mode::Auto => attempt(true).or_else(|error| {
            log::info!("{name}: no native XDP ({}); using generic mode", super::chain(&error));
            attempt(false)
        }),
    };
    result.map_err(|source| {
        let text = super::chain(&source);
        let hint = if text.contains("os error 16") {
            "Another XDP program is on the interface: `ip link show` names it, \
             `ip link set dev IF xdp off` takes it off"
        } else if text.contains("os error 1)") || text.contains("os error 13") {
            "CAP_NET_ADMIN and CAP_BPF are needed: run as root, or under the systemd unit"
        } else if mode == Mode::Native {
            "The driver may lack XDP, or the MTU or offloads may forbid it: try --mode generic, \
             and see `scorer doctor -i IF`"
        } else {
            "`scorer doctor -i IF` tells more"
        };
        let mode = if mode == Mode::Native { "native" } else { "generic" };
        TapError::Attach { interface: name.to_owned(), mode, hint, source: Box::new(source) }
    })
}

/// A packet socket that receives nothing (protocol 0) and asks for promiscuity.
pub(crate) fn make_promiscuous(name: &str, ifindex: u32) -> Result<std::os::fd::OwnedFd, TapError> {
    let error = |source: nix::errno::Errno| {
        TapError::system(
            format!(
                "cannot make {name} promiscuous (CAP_NET_RAW is needed; tap.promiscuous = false does without)"
            ),
            source,
        )
    };
    let fd =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None::<SockProtocol>)
            .map_err(error)?;
    let request = libc::packet_mreq {
        mr_ifindex: ifindex as libc::c_int,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    // SAFETY: the pointer is to a packet_mreq of the length given.
    let result = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(&fd),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            size_of::<libc::packet_mreq>() as libc::socklen_t,
        )
    };
    nix::errno::Errno::result(result).map_err(error)?;
    Ok(fd)
}

//! Three namespaces in a row: a carrier, the scorer's host, a core. And the scorer
//! in the middle.

use std::{
    fs::File,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::{signal::Signal, socket};

use crate::{
    lab::{Running, enter, inside, run, send_frames, unique},
    scorer::binary,
};

/// The carrier's address.
pub const CARRIER: &str = "10.97.0.1";
/// The core's address, in the same network: the host between is not seen.
pub const CORE: &str = "10.97.0.2";
/// The host's interface towards the carrier.
pub const CARRIER_SIDE: &str = "sc-carrier";
/// The host's interface towards the core.
pub const CORE_SIDE: &str = "sc-core";
/// The carrier's own interface.
pub const FAR: &str = "carrier0";
/// The core's own interface.
pub const NEAR: &str = "core0";

/// The lab. Gone, with everything in it, when dropped.
#[derive(Debug)]
pub struct Bump {
    carrier: String,
    host: String,
    core: String,
    pins: tempfile::TempDir,
}

impl Bump {
    /// Makes it.
    ///
    /// # Panics
    /// When a namespace, an interface or the BPF file system cannot be made.
    #[expect(clippy::new_without_default, reason = "makes namespaces")]
    pub fn new() -> Self {
        let id = unique();
        let name = |who: char| format!("scorer-b{who}{id}");
        let lab = Self {
            carrier: name('c'),
            host: name('h'),
            core: name('k'),
            pins: tempfile::tempdir().expect("a folder"),
        };
        let (carrier, host, core) = (&lab.carrier, &lab.host, &lab.core);
        for namespace in [carrier, host, core] {
            run("ip", &format!("netns add {namespace}"));
            let quiet = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1";
            run("nsenter", &format!("--net=/run/netns/{namespace} {quiet}"));
            run("ip", &format!("-n {namespace} link set lo up"));
        }
        for (far, far_name, near_name) in [(carrier, FAR, CARRIER_SIDE), (core, NEAR, CORE_SIDE)] {
            run(
                "ip",
                &format!(
                    "link add {far_name} netns {far} type veth peer name {near_name} netns {host}"
                ),
            );
            run("ip", &format!("-n {host} link set {near_name} up"));
        }
        for (namespace, interface, address) in [(carrier, FAR, CARRIER), (core, NEAR, CORE)] {
            run("ip", &format!("-n {namespace} addr add {address}/24 dev {interface}"));
            run("ip", &format!("-n {namespace} link set {interface} up"));
            // Checksums left to a card that is not there are never computed; frames
            // redirected into a veth are taken by its peer only with NAPI, which
            // GRO brings.
            let offload = format!("ethtool -K {interface} tx off gro on");
            run("nsenter", &format!("--net=/run/netns/{namespace} {offload}"));
        }
        run("mount", &format!("-t bpf bpf {}", lab.pins.path().display()));
        lab
    }

    /// A command at the carrier.
    pub fn carrier(&self, program: impl AsRef<Path>) -> Command {
        enter(&self.carrier, program.as_ref())
    }

    /// A command on the scorer's host.
    pub fn host(&self, program: impl AsRef<Path>) -> Command {
        enter(&self.host, program.as_ref())
    }

    /// A command in the core.
    pub fn core(&self, program: impl AsRef<Path>) -> Command {
        enter(&self.core, program.as_ref())
    }

    /// Runs something in a thread of its own at the carrier.
    pub fn inside_carrier<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.carrier, work)
    }

    /// Runs something in a thread of its own on the scorer's host.
    pub fn inside_host<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.host, work)
    }

    /// Runs something in a thread of its own in the core.
    pub fn inside_core<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.core, work)
    }

    /// Sends frames from the carrier exactly as they are.
    pub fn send(&self, frames: &[Vec<u8>]) {
        inside(&self.carrier, || send_frames(FAR, frames));
    }

    /// Sends frames from the core.
    pub fn send_back(&self, frames: &[Vec<u8>]) {
        inside(&self.core, || send_frames(NEAR, frames));
    }

    /// A UDP socket in the core that holds what comes until it is read.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn listen(&self, port: u16) -> UdpSocket {
        self.inside_core(|| listen(CORE, port))
    }

    /// A packet socket on the core's interface: every frame that comes in.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn capture(&self) -> Capture {
        self.inside_core(|| Capture::new(NEAR))
    }

    /// A packet socket on the carrier's interface.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn capture_carrier(&self) -> Capture {
        self.inside_carrier(|| Capture::new(FAR))
    }

    /// Options of the lab's configuration file.
    fn config(&self, folder: &Path, more: &str) -> PathBuf {
        let path = folder.join("inline.toml");
        let pins = self.pins.path().join("scorer");
        let text = format!("{more}\n[kernel]\npins = {:?}\n", pins.display().to_string());
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Starts `scorer inline` between the two and waits until it is attached.
    ///
    /// # Panics
    /// When it is not after ten seconds.
    pub fn inline(&self, folder: &Path, args: &[&str], config: &str) -> Inline {
        let mut all = vec!["--carrier", CARRIER_SIDE, "--core", CORE_SIDE];
        all.extend_from_slice(args);
        self.start(folder, &all, config)
    }

    /// The command, not started.
    pub fn inline_command(&self, folder: &Path, args: &[&str], config: &str) -> Command {
        let config = self.config(folder, config);
        let mut command = self.host(binary());
        command.arg("inline").args(args).arg("--config").arg(config);
        command
    }

    fn start(&self, folder: &Path, args: &[&str], config: &str) -> Inline {
        let (verdicts, words) = (folder.join("verdicts.jsonl"), folder.join("words.txt"));
        let mut command = self.inline_command(folder, args, config);
        command.args(["--format", "jsonl"]).stdin(Stdio::null());
        command.stdout(File::create(&verdicts).expect("a file"));
        command.stderr(File::create(&words).expect("a file"));
        let process = Running(command.spawn().expect("scorer starts"));
        let inline = Inline { process, verdicts, words };
        inline.wait_for("inline on");
        inline
    }
}

impl Drop for Bump {
    fn drop(&mut self) {
        for namespace in [&self.carrier, &self.host, &self.core] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
        let _ = Command::new("umount").arg(self.pins.path()).status();
    }
}

/// A UDP socket with room for thousands of datagrams.
///
/// # Panics
/// When it cannot be had.
pub fn listen(address: &str, port: u16) -> UdpSocket {
    let udp = UdpSocket::bind((address, port)).expect("a port");
    socket::setsockopt(&udp, socket::sockopt::RcvBufForce, &(256 << 20)).expect("room");
    udp.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    udp
}

/// Everything that waits at a socket, and what comes within `pause` of the last.
///
/// # Panics
/// When the socket takes no time-out.
pub fn drain(socket: &UdpSocket, pause: Duration) -> Vec<Vec<u8>> {
    socket.set_read_timeout(Some(pause)).expect("a time-out");
    let mut buffer = vec![0; 65_536];
    let mut all = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        all.push(buffer[..length].to_vec());
    }
    all
}

/// Frames at an interface.
#[derive(Debug)]
pub struct Capture(std::os::fd::OwnedFd);

impl Capture {
    fn new(interface: &str) -> Self {
        use nix::libc;
        use socket::{
            AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, SockaddrLike as _,
        };
        let all = Some(SockProtocol::EthAll);
        let fd = socket::socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), all)
            .expect("a packet socket");
        let mut address: libc::sockaddr_ll = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: nix::net::if_::if_nametoindex(interface).expect("interface") as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: a sockaddr_ll of its own length.
        let address = unsafe {
            LinkAddr::from_raw(
                (&raw mut address).cast(),
                Some(size_of::<libc::sockaddr_ll>() as u32),
            )
        };
        let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
        socket::bind(raw, &address.expect("an address")).expect("bound");
        socket::setsockopt(&fd, socket::sockopt::RcvBufForce, &(64 << 20)).expect("room");
        Self(fd)
    }

    /// What has come in from outside until nothing comes for `pause`. VLAN tags that
    /// the kernel took off are not put back.
    ///
    /// # Panics
    /// When the socket fails.
    pub fn frames(&self, pause: Duration) -> Vec<Vec<u8>> {
        use nix::libc;
        use std::os::fd::AsRawFd as _;
        let time = nix::sys::time::TimeVal::new(0, pause.as_micros() as i64);
        socket::setsockopt(&self.0, socket::sockopt::ReceiveTimeout, &time).expect("a time-out");
        let mut buffer = vec![0; 65_536];
        let mut all = Vec::new();
        loop {
            let result = socket::recvfrom::<socket::LinkAddr>(self.0.as_raw_fd(), &mut buffer);
            match result {
                Ok((length, from)) => {
                    // Sent by this side is not of interest.
                    let kind = from.map(|from| from.as_ref().sll_pkttype);
                    if kind != Some(libc::PACKET_OUTGOING) {
                        all.push(buffer[..length].to_vec());
                    }
                }
                Err(nix::errno::Errno::EAGAIN) => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// `scorer inline`, its verdicts and words in files.
#[derive(Debug)]
pub struct Inline {
    /// The process: nsenter becomes scorer.
    pub process: Running,
    /// Standard output.
    pub verdicts: PathBuf,
    /// Standard error.
    pub words: PathBuf,
}

impl Inline {
    /// Waits until it has said something.
    ///
    /// # Panics
    /// When it has not after ten seconds.
    pub fn wait_for(&self, text: &str) {
        let start = Instant::now();
        loop {
            let said = std::fs::read_to_string(&self.words).unwrap_or_default();
            if said.contains(text) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "no word of `{text}`: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as Ctrl-C does; verdict lines and what it said.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn finish(self) -> (Vec<serde_json::Value>, String) {
        std::thread::sleep(Duration::from_millis(300));
        self.process.signal(Signal::SIGINT);
        let status = self.process.wait();
        let words = std::fs::read_to_string(&self.words).expect("words");
        assert!(status.success(), "scorer inline: {status}\n{words}");
        let text = std::fs::read_to_string(&self.verdicts).expect("verdicts");
        let verdicts = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        (verdicts.collect(), words)
    }
}

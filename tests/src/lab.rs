//! Two namespaces joined by a veth pair, and processes in them.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// The far side's address.
pub const CARRIER: &str = "10.98.0.1";
/// The tapped side's address.
pub const EDGE: &str = "10.98.0.2";
/// The tapped interface.
pub const INTERFACE: &str = "edge0";
/// The far side's.
pub const FAR: &str = "carrier0";

/// Gone, with everything in it, when dropped.
#[derive(Debug)]
pub struct Lab {
    carrier: String,
    pub(crate) edge: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Part of a name that no other lab has.
pub(crate) fn unique() -> String {
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn run(program: &str, args: &str) {
    let status = Command::new(program).args(args.split(' ')).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {args} failed");
}

impl Lab {
    /// Makes it; names are unique to this process and call.
    ///
    /// # Panics
    /// When a namespace or the veth pair cannot be made.
    #[expect(clippy::new_without_default, reason = "makes namespaces")]
    pub fn new() -> Self {
        let id = unique();
        let lab = Self { carrier: format!("scorer-tc{id}"), edge: format!("scorer-te{id}") };
        let (carrier, edge) = (&lab.carrier, &lab.edge);
        run("ip", &format!("netns add {carrier}"));
        run("ip", &format!("netns add {edge}"));
        run(
            "ip",
            &format!("link add {FAR} netns {carrier} type veth peer name {INTERFACE} netns {edge}"),
        );
        for (namespace, interface, address) in [(carrier, FAR, CARRIER), (edge, INTERFACE, EDGE)] {
            // No router advertisements and the like between the frames of a test.
            let quiet = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1";
            run("nsenter", &format!("--net=/run/netns/{namespace} {quiet}"));
            run("ip", &format!("-n {namespace} addr add {address}/24 dev {interface}"));
            run("ip", &format!("-n {namespace} link set {interface} mtu 3400 up"));
            run("ip", &format!("-n {namespace} link set lo up"));
        }
        // Checksums left to a card that is not there are never computed.
        run("nsenter", &format!("--net=/run/netns/{carrier} ethtool -K {FAR} tx off"));
        lab
    }

    /// Name of the tapped side's namespace.
    pub fn edge_namespace(&self) -> &str {
        &self.edge
    }

    /// A command on the far side.
    pub fn carrier(&self, program: impl AsRef<Path>) -> Command {
        enter(&self.carrier, program.as_ref())
    }

    /// A command on the tapped side.
    pub fn edge(&self, program: impl AsRef<Path>) -> Command {
        enter(&self.edge, program.as_ref())
    }

    /// Runs something in a thread of its own on the tapped side.
    ///
    /// # Panics
    /// When it does, or the namespace cannot be entered.
    pub fn inside_edge<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.edge, work)
    }

    /// Sends frames from the far side exactly as they are, in order.
    ///
    /// # Panics
    /// When a frame cannot be sent.
    pub fn send(&self, frames: &[Vec<u8>]) {
        inside(&self.carrier, || send_frames(FAR, frames));
    }
}

/// A namespace is a thread's own affair.
pub(crate) fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).expect("namespace");
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).expect("setns");
            work()
        });
        thread.join().expect("it does not panic")
    })
}

pub(crate) fn send_frames(interface: &str, frames: &[Vec<u8>]) {
    use nix::sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _,
        sendto, socket,
    };
    use std::os::fd::AsRawFd as _;
    let index = nix::net::if_::if_nametoindex(interface).expect("interface");
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None::<SockProtocol>)
        .expect("packet socket");
    let mut address: nix::libc::sockaddr_ll = nix::libc::sockaddr_ll {
        sll_family: nix::libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    // SAFETY: a sockaddr_ll of its own length.
    let address = unsafe {
        LinkAddr::from_raw(
            (&raw mut address).cast(),
            Some(size_of::<nix::libc::sockaddr_ll>() as u32),
        )
    }
    .expect("address");
    for frame in frames {
        sendto(fd.as_raw_fd(), frame, &address, MsgFlags::empty()).expect("a frame is sent");
    }
}

pub(crate) fn enter(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg(program);
    command
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.carrier, &self.edge] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

/// A process that is ended when dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Sends a signal.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::kill(pid, signal).expect("the process is there");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.0.wait().expect("it ends")
    }
}

impl Drop for Running {
    /// Asked first, and killed after five seconds: Kamailio, killed at once, leaves
    /// its children behind.
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        for wait in 0..500 {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            if wait == 0 {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
                // One that a test has stopped gets the signal when it goes on.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A BPF file system of its own: hosts need not have one mounted.
#[derive(Debug)]
pub struct BpfFs(tempfile::TempDir);

impl BpfFs {
    /// Mounts one.
    ///
    /// # Panics
    /// When that cannot be done: it needs root.
    #[expect(clippy::new_without_default, reason = "it mounts something")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        let status = mount.args(["-t", "bpf", "bpf"]).arg(folder.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "no BPF file system");
        Self(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

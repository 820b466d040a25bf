//! The same traffic sent for real, frame by frame, on an interface of a lab: as a mirror
//! port would show it, from all trunks and in both directions.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    net::if_::if_nametoindex,
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _,
        sendto, socket,
    },
};

use super::{Label, Packet, Sink};

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// No such interface.
    #[error("there is no network interface {0} here; `ip link` lists those there are")]
    Unknown(String),
    /// Not of a lab.
    #[error("{name} is driven by {driver}: simulated traffic goes only to veth pairs and dummies")]
    NotALab {
        /// Interface.
        name: String,
        /// Its driver.
        driver: String,
    },
    /// The socket.
    #[error("cannot send on {name}: {source}; that takes root, or CAP_NET_RAW")]
    Socket {
        /// Interface.
        name: String,
        /// Cause.
        source: io::Error,
    },
}

/// Drivers whose frames cannot reach anybody's network by themselves.
const DRIVERS: [&str; 2] = ["veth", "dummy"];

/// Sends frames in their time.
#[derive(Debug)]
pub struct Interface {
    fd: OwnedFd,
    address: LinkAddr,
    /// Seconds of traffic a second.
    speed: f64,
    /// When the first message was sent, and its time in the simulation.
    begun: Option<(Instant, u64)>,
    /// Frames that the interface did not take.
    pub refused: u64,
}

impl Interface {
    /// Opens an interface; `driver` is what its driver is called.
    ///
    /// # Errors
    /// [`InterfaceError`].
    pub fn open(name: &str, driver: &str, speed: f64) -> Result<Self, InterfaceError> {
        let index = if_nametoindex(name).map_err(|_| InterfaceError::Unknown(name.to_owned()))?;
        if !DRIVERS.contains(&driver) {
            let driver = driver.to_owned();
            return Err(InterfaceError::NotALab { name: name.to_owned(), driver });
        }
        let error =
            |source: Errno| InterfaceError::Socket { name: name.to_owned(), source: source.into() };
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None::<SockProtocol>)
            .map_err(error)?;
        let mut address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
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
                Some(size_of::<libc::sockaddr_ll>() as libc::socklen_t),
            )
        };
        let address = address.ok_or_else(|| error(Errno::EINVAL))?;
        Ok(Self { fd, address, speed, begun: None, refused: 0 })
    }

    /// Waits until what is at `time` (ns) in the simulation is due.
    fn wait(&mut self, time: u64) {
        let (start, first) = *self.begun.get_or_insert_with(|| (Instant::now(), time));
        let due = Duration::from_secs_f64(time.saturating_sub(first) as f64 / 1e9 / self.speed);
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
    }
}

impl Sink for Interface {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        self.wait(packet.timestamp.0);
        let Self { fd, address, refused, .. } = self;
        packet.frames(&mut |frame| {
            match sendto(fd.as_raw_fd(), frame.bytes, address, MsgFlags::empty()) {
                Ok(_) => Ok(()),
                // Full for a moment, or down: as a wire would, the frame is lost.
                Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::ENETDOWN | Errno::EMSGSIZE) => {
                    *refused += 1;
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    fn label(&mut self, _: &Label<'_>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Interface, InterfaceError};

    #[test]
    fn real_cards_are_refused() {
        for driver in ["ixgbe", "virtio_net", "bridge", "nothing known"] {
            let refused = Interface::open("lo", driver, 1.0).expect_err(driver);
            assert!(matches!(refused, InterfaceError::NotALab { .. }), "{refused}");
            assert!(refused.to_string().contains(driver), "{refused}");
        }
        let unknown = Interface::open("nowhere0", "veth", 1.0).expect_err("there is none");
        assert!(matches!(unknown, InterfaceError::Unknown(_)), "{unknown}");
    }
}

//! A datagram a verdict.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::{
        fd::{AsRawFd as _, RawFd},
        linux::net::SocketAddrExt as _,
        unix::net::UnixDatagram,
    },
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, send},
};

use super::{Count, ReceiverStats, To};

/// While nobody is there, whether somebody has come is looked at this often.
const RETRY: Duration = Duration::from_millis(20);

/// One receiver. Its socket is connected, so that the kernel looks its address up
/// once, and says when nobody is there.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: Socket,
    to: To,
    connected: bool,
    next_try: Option<Instant>,
    stats: Arc<ReceiverStats>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Datagrams {
    /// A socket; the receiver need not be there yet.
    pub(super) fn new(to: To) -> std::io::Result<Self> {
        let socket = match &to {
            To::Unix(_) | To::Abstract(_) => Socket::Unix(UnixDatagram::unbound()?),
            To::Udp(SocketAddr::V4(_)) => Socket::Udp(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?),
            To::Udp(SocketAddr::V6(_)) => Socket::Udp(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?),
        };
        let stats = ReceiverStats {
            name: to.to_string(),
            udp: matches!(to, To::Udp(_)),
            ..ReceiverStats::default()
        };
        let mut new = Self { socket, to, connected: false, next_try: None, stats: Arc::new(stats) };
        new.connected = new.connect().is_ok();
        Ok(new)
    }

    pub(super) fn stats(&self) -> &Arc<ReceiverStats> {
        &self.stats
    }

    /// Looks the address up: a path or a number, never a name in the DNS.
    fn connect(&self) -> std::io::Result<()> {
        match (&self.socket, &self.to) {
            (Socket::Unix(socket), To::Unix(path)) => socket.connect(path),
            (Socket::Unix(socket), To::Abstract(name)) => {
                socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
            }
            (Socket::Udp(socket), To::Udp(address)) => socket.connect(address),
            // The socket was made for the address.
            _ => Err(std::io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    fn fd(&self) -> RawFd {
        match &self.socket {
            Socket::Unix(socket) => socket.as_raw_fd(),
            Socket::Udp(socket) => socket.as_raw_fd(),
        }
    }

    /// Sends, or counts why not. Never waits.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if !self.connected && !self.find() {
            return self.stats.missing.add();
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let mut result = send(self.fd(), bytes, flags);
        if result.is_err_and(is_missing) {
            // Another may have taken the address over. For UDP the error is an
            // earlier datagram's, and this one was not sent.
            if self.stats.udp {
                self.stats.error.store(Errno::ECONNREFUSED as i32, Ordering::Relaxed);
                self.stats.missing.add();
            }
            self.connected = self.connect().is_ok();
            if self.connected {
                result = send(self.fd(), bytes, flags);
                self.connected = !result.is_err_and(is_missing);
            }
        }
        let stats = &self.stats;
        let count: &Count = match result {
            Ok(_) => &stats.sent,
            Err(Errno::EAGAIN | Errno::ENOBUFS) => &stats.full,
            Err(error) => {
                stats.error.store(error as i32, Ordering::Relaxed);
                if is_missing(error) { &stats.missing } else { &stats.failed }
            }
        };
        count.add();
    }

    /// Connects, unless that was tried a moment ago.
    fn find(&mut self) -> bool {
        let now = Instant::now();
        if self.next_try.is_some_and(|next| now < next) {
            return false;
        }
        match self.connect() {
            Ok(()) => {
                self.next_try = None;
                self.connected = true;
            }
            Err(error) => {
                self.stats.error.store(error.raw_os_error().unwrap_or(0), Ordering::Relaxed);
                self.next_try = Some(now + RETRY);
            }
        }
        self.connected
    }
}

const fn is_missing(error: Errno) -> bool {
    matches!(
        error,
        Errno::ECONNREFUSED
            | Errno::ECONNRESET
            | Errno::ENOTCONN
            | Errno::EDESTADDRREQ
            | Errno::ENOENT
            | Errno::EPIPE
    )
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::unix::net::UnixDatagram, time::Duration};

    use super::{Datagrams, RETRY, To};

    #[test]
    fn a_receiver_may_come_late_go_and_come_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let mut datagrams = Datagrams::new(To::Unix(path.clone())).expect("a socket");
        datagrams.send(b"to nobody");
        assert_eq!(datagrams.stats().missing.get(), 1);
        let mut sent = 0;
        for text in [b"first", b"again"] {
            let receiver = UnixDatagram::bind(&path).expect("bound");
            std::thread::sleep(2 * RETRY);
            datagrams.send(text);
            let mut bytes = [0; 64];
            let length = receiver.recv(&mut bytes).expect("a datagram");
            assert_eq!(&bytes[..length], text);
            sent += 1;
            drop(receiver);
            std::fs::remove_file(&path).expect("removed");
            datagrams.send(b"to nobody");
        }
        assert_eq!((datagrams.stats().sent.get(), datagrams.stats().missing.get()), (sent, 3));
    }

    #[test]
    fn one_that_does_not_read_holds_nothing_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let receiver = UnixDatagram::bind(&path).expect("bound");
        let mut datagrams = Datagrams::new(To::Unix(path)).expect("a socket");
        for _ in 0..10_000 {
            datagrams.send(&[7; 512]);
        }
        let stats = datagrams.stats();
        assert!(stats.full.get() > 0 && stats.sent.get() > 0);
        assert_eq!(stats.full.get() + stats.sent.get(), 10_000);
        receiver.set_nonblocking(true).expect("set");
        let mut bytes = [0; 600];
        let read = (0..20_000).take_while(|_| receiver.recv(&mut bytes).is_ok()).count();
        assert_eq!(read as u64, stats.sent.get());
    }

    #[test]
    fn udp() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let address = receiver.local_addr().expect("an address");
        let mut datagrams = Datagrams::new(To::Udp(address)).expect("a socket");
        datagrams.send(b"one");
        let mut bytes = [0; 64];
        receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        assert_eq!(receiver.recv(&mut bytes).expect("a datagram"), 3);
        drop(receiver);
        // The kernel tells after the first that nobody is there.
        (0..10).for_each(|_| datagrams.send(b"to nobody"));
        let again = UdpSocket::bind(address).expect("bound");
        again.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        datagrams.send(b"again");
        let length = again.recv(&mut bytes).expect("a datagram");
        assert_eq!(&bytes[..length], b"again");
        assert_eq!(datagrams.stats().failed.get(), 0);
        assert!(datagrams.stats().missing.get() > 0);
    }
}

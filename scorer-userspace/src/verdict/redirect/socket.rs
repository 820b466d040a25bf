//! The redirect server's socket.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

use super::{Outbox, RedirectConfig, RedirectStats};

/// Why there is no redirect server.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The address cannot be had.
    #[error(
        "cannot answer INVITEs on {address}: {source}; choose another address (redirect.listen)"
    )]
    Bind {
        /// Address.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// None is configured.
    #[error("no address to answer INVITEs on: give --listen ADDR:PORT, or redirect.listen")]
    NoAddress,
}

/// Longest datagram.
const LONGEST: usize = 65_535;

/// A socket that never waits.
#[derive(Debug)]
pub struct Listener {
    socket: UdpSocket,
    local: SocketAddr,
    buffer: Box<[u8]>,
}

impl Listener {
    /// Binds the configured address.
    ///
    /// # Errors
    /// [`RedirectError`].
    pub fn bind(config: &RedirectConfig) -> Result<Self, RedirectError> {
        let address = config.listen.ok_or(RedirectError::NoAddress)?;
        let error = |source| RedirectError::Bind { address, source };
        let socket = UdpSocket::bind(address).map_err(error)?;
        socket.set_nonblocking(true).map_err(error)?;
        let local = socket.local_addr().map_err(error)?;
        if !local.ip().is_loopback() && config.peers.is_empty() {
            log::warn!(
                "the redirect server on {local} answers whoever reaches it; redirect.peers names who may ask"
            );
        }
        Ok(Self { socket, local, buffer: vec![0; LONGEST].into_boxed_slice() })
    }

    /// Its own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The next datagram, if there is one, and who sent it.
    pub fn receive(&mut self) -> Option<(&[u8], SocketAddr)> {
        loop {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((length, peer)) => return Some((&self.buffer[..length], peer)),
                // An earlier answer's port was closed.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionRefused | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends what is in `out`; what cannot be sent is counted: clients retransmit.
    pub fn send(&self, out: &mut Outbox, stats: &RedirectStats) {
        for (to, bytes) in out.drain(..) {
            let mut result = self.socket.send_to(&bytes, to);
            if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                // Said of an earlier answer.
                result = self.socket.send_to(&bytes, to);
            }
            if result.is_err() {
                stats.events.send_failed.add();
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

//! What an interface says of itself (netdevice(7)). Asked of the kernel rather than
//! read from /sys, which may show another network namespace's interfaces.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsRawFd as _;

/// Asks `request` about an interface.
fn ask(interface: &str, request: libc::c_ulong) -> std::io::Result<libc::ifreq> {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: an ifreq of zeroes is one with an empty name.
    let mut asked: libc::ifreq = unsafe { std::mem::zeroed() };
    let name = interface.as_bytes();
    if name.len() >= asked.ifr_name.len() {
        return Err(std::io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in asked.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    // SAFETY: the pointer is to an ifreq, which is what these requests take.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, &raw mut asked) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(asked) }
}

/// Largest IP packet that leaves it, bytes.
pub(super) fn mtu(interface: &str) -> std::io::Result<usize> {
    let answer = ask(interface, libc::SIOCGIFMTU)?;
    // SAFETY: the field that this request fills.
    Ok(usize::try_from(unsafe { answer.ifr_ifru.ifru_mtu }).unwrap_or(0))
}

/// Its hardware address.
pub(super) fn address(interface: &str) -> std::io::Result<[u8; 6]> {
    let answer = ask(interface, libc::SIOCGIFHWADDR)?;
    // SAFETY: the field that this request fills.
    let data = unsafe { answer.ifr_ifru.ifru_hwaddr.sa_data };
    Ok(std::array::from_fn(|i| data[i] as u8))
}

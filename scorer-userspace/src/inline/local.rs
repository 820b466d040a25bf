//! The way back in where the router is on this host: a veth pair. What is sent into
//! the one end comes in at the other as if a network had brought it.

use std::process::{Command, Stdio};

use super::{InlineError, device};

/// The pair. Both ends go when it is dropped.
#[derive(Debug)]
pub(super) struct Pair {
    /// Where frames are sent.
    pub(super) inner: String,
    /// Hardware address of the end they come in at.
    pub(super) address: [u8; 6],
}

/// Names of interfaces have fifteen characters at most.
const PREFIX: &str = "scr";

fn ip(args: &[&str]) -> Result<(), InlineError> {
    let failed = |reason: String| InlineError::Veth { command: args.join(" "), reason };
    let output = Command::new("ip")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn setting(interface: &str, name: &str, value: &str) -> Result<(), InlineError> {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/{name}");
    std::fs::write(&path, value).map_err(|error| InlineError::Veth {
        command: format!("write {path}"),
        reason: error.to_string(),
    })
}

impl Pair {
    /// Makes it for the interface with index `ifindex`, with its MTU. One that an
    /// earlier process left is replaced.
    pub(super) fn new(ifindex: u32, mtu: usize) -> Result<Self, InlineError> {
        let (inner, outer) = (format!("{PREFIX}{ifindex}i"), format!("{PREFIX}{ifindex}o"));
        // None is left as a rule, and that is no error.
        let _ = ip(&["link", "del", &inner]);
        let mtu = mtu.to_string();
        ip(&[
            "link", "add", &inner, "mtu", &mtu, "type", "veth", "peer", "name", &outer, "mtu", &mtu,
        ])?;
        let mut pair = Self { address: [0; 6], inner };
        // Frames come from addresses that are routed elsewhere: 2 asks only that they
        // are routed at all (RFC 3704, loose mode). The kernel grants that only to
        // interfaces with an address; this one is used for nothing else.
        setting(&outer, "rp_filter", "2")?;
        let own = format!("169.254.255.{}/32", ifindex % 250 + 1);
        ip(&["address", "add", &own, "dev", &outer, "scope", "link", "noprefixroute"])?;
        for end in [&pair.inner, &outer] {
            // No addresses of its own, which would be announced.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{end}/addr_gen_mode"), "1");
            ip(&["link", "set", end, "arp", "off", "up"])?;
        }
        pair.address = device::address(&outer).map_err(|error| InlineError::Veth {
            command: format!("read the address of {outer}"),
            reason: error.to_string(),
        })?;
        Ok(pair)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Err(error) = ip(&["link", "del", &self.inner]) {
            log::warn!("{error}");
        }
    }
}

//! A network interface.

use std::{fs, os::fd::AsRawFd as _, path::PathBuf};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{Finding, Status};

/// Drivers with native XDP in Linux 6.6, the common ones.
const NATIVE: [&str; 20] = [
    "bnxt_en",
    "ena",
    "gve",
    "i40e",
    "iavf",
    "ice",
    "idpf",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "nfp",
    "qede",
    "stmmac",
    "veth",
    "virtio_net",
];

/// Native XDP without multi-buffer support ends about here.
const LARGE_MTU: u32 = 3_498;

pub(super) fn findings(name: &str) -> Vec<Finding> {
    let folder = PathBuf::from("/sys/class/net").join(name);
    // A name with a slash would lead elsewhere.
    if name.contains('/') || !folder.exists() {
        let advice = "`ip link` lists the interfaces there are";
        return vec![Finding::new(Status::Fail, name, "no such interface", advice)];
    }
    let mut found = vec![
        driver(name, &folder),
        mtu(name, &folder),
        queues(name, &folder),
        state(name, &folder),
        attached(name),
    ];
    found.extend(offloads(name));
    found
}

fn read(folder: &std::path::Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_default().trim().to_owned()
}

fn driver(name: &str, folder: &std::path::Path) -> Finding {
    let link = fs::read_link(folder.join("device/driver")).ok();
    let driver = link
        .as_ref()
        .and_then(|path| path.file_name())
        .map(|driver| driver.to_string_lossy().into_owned())
        .or_else(|| ethtool_driver(name))
        .unwrap_or_else(|| "unknown".to_owned());
    let status = if NATIVE.contains(&driver.as_str()) { Status::Ok } else { Status::Warn };
    let advice = "not known for native XDP; --mode auto falls back to generic mode, which costs more. Of a VLAN or bond tap the parent or the members";
    Finding::new(status, &format!("{name}: driver"), driver, advice)
}

fn mtu(name: &str, folder: &std::path::Path) -> Finding {
    let mtu = read(folder, "mtu");
    let large = mtu.parse::<u32>().is_ok_and(|mtu| mtu > LARGE_MTU);
    let status = if large { Status::Warn } else { Status::Ok };
    let advice = "some drivers refuse native XDP at this MTU; --mode auto then uses generic mode";
    Finding::new(status, &format!("{name}: MTU"), mtu, advice)
}

fn queues(name: &str, folder: &std::path::Path) -> Finding {
    let count = fs::read_dir(folder.join("queues")).map_or(0, |queues| {
        queues
            .filter_map(Result::ok)
            .filter(|q| q.file_name().to_string_lossy().starts_with("rx-"))
            .count()
    });
    let what = format!("{name}: receive queues");
    let advice = "several queues hand packets over out of order between them; fine for the tap";
    Finding::new(
        if count == 0 { Status::Warn } else { Status::Ok },
        &what,
        count.to_string(),
        advice,
    )
}

fn state(name: &str, folder: &std::path::Path) -> Finding {
    let state = read(folder, "operstate");
    let up = matches!(state.as_str(), "up" | "unknown");
    let status = if up { Status::Ok } else { Status::Warn };
    Finding::new(status, &format!("{name}: state"), state, "`ip link set IF up`")
}

/// Whether an XDP program is there, as `ip link` tells.
fn attached(name: &str) -> Finding {
    let output =
        std::process::Command::new("ip").args(["-d", "link", "show", "dev", name]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let what = format!("{name}: XDP program");
    let advice = "an interface takes one: stop the other, or `ip link set dev IF xdp off`";
    match text {
        Ok(text) if text.contains("xdp") => {
            Finding::new(Status::Fail, &what, "another is attached", advice)
        }
        Ok(_) => Finding::new(Status::Ok, &what, "none", advice),
        Err(_) => Finding::new(Status::Warn, &what, "cannot tell", "install iproute2"),
    }
}

/// ethtool's commands (linux/ethtool.h).
const GET_DRIVER: u32 = 0x3;
const GET_FLAGS: u32 = 0x25;
const GET_GRO: u32 = 0x2b;
const FLAG_LRO: u32 = 1 << 15;
const FLAG_RX_VLAN: u32 = 1 << 8;

fn offloads(name: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let on = |value: bool| if value { "on" } else { "off" };
    if let Some(flags) = ethtool_value(name, GET_FLAGS) {
        let lro = flags & FLAG_LRO != 0;
        let status = if lro { Status::Warn } else { Status::Ok };
        let advice = "`ethtool -K IF lro off`: merged packets hide where messages begin";
        found.push(Finding::new(status, &format!("{name}: LRO"), on(lro), advice));
        let vlan = flags & FLAG_RX_VLAN != 0;
        let what = format!("{name}: VLAN stripping");
        found.push(Finding::new(Status::Ok, &what, on(vlan), ""));
    }
    if let Some(gro) = ethtool_value(name, GET_GRO) {
        found.push(Finding::new(Status::Ok, &format!("{name}: GRO"), on(gro != 0), ""));
    }
    found
}

/// Asks the driver something with SIOCETHTOOL; `None` where it does not answer.
fn ethtool<T>(name: &str, request: &mut T) -> Option<()> {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    // SAFETY: all zero is an ifreq.
    let mut ask: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= ask.ifr_name.len() {
        return None;
    }
    for (to, from) in ask.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    ask.ifr_ifru.ifru_data = std::ptr::from_mut(request).cast();
    // SAFETY: the request is as large as its command says, and lives through the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut ask) };
    (result == 0).then_some(())
}

fn ethtool_value(name: &str, command: u32) -> Option<u32> {
    // struct ethtool_value { cmd, data }
    let mut request = [command, 0];
    ethtool(name, &mut request)?;
    Some(request[1])
}

/// What an interface's driver is called.
pub(in crate::cli) fn ethtool_driver(name: &str) -> Option<String> {
    // struct ethtool_drvinfo: cmd, driver[32], …, 196 bytes in all.
    #[repr(C)]
    struct DriverInfo {
        command: u32,
        driver: [u8; 32],
        rest: [u8; 160],
    }
    let mut request = DriverInfo { command: GET_DRIVER, driver: [0; 32], rest: [0; 160] };
    ethtool(name, &mut request)?;
    let end = request.driver.iter().position(|b| *b == 0).unwrap_or(32);
    Some(String::from_utf8_lossy(&request.driver[..end]).into_owned())
}

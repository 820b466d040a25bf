//! The kernel and what this process may do.

use std::{fs, path::Path};

use super::{Finding, Status};

/// `bpf_xdp_load_bytes` came with it.
const FLOOR: (u32, u32) = (5, 18);
/// Long-term kernel with everything later versions of the scorer want.
const RECOMMENDED: (u32, u32) = (6, 6);

/// Capabilities (linux/capability.h) and what each is for.
const CAPABILITIES: [(u32, &str, Status, &str); 4] = [
    (
        39,
        "CAP_BPF",
        Status::Fail,
        "loading programs and maps: run as root or under packaging/scorer.service",
    ),
    (
        12,
        "CAP_NET_ADMIN",
        Status::Fail,
        "attaching to interfaces: run as root or under packaging/scorer.service",
    ),
    (
        38,
        "CAP_PERFMON",
        Status::Fail,
        "the program's pointer arithmetic: run as root or under packaging/scorer.service",
    ),
    (
        13,
        "CAP_NET_RAW",
        Status::Warn,
        "promiscuous mode on mirror ports; tap.promiscuous = false does without",
    ),
];

pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![kernel(), btf(), jit(), lockdown(), bpffs()];
    findings.extend(capabilities());
    findings
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts =
        release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let (status, advice) = if version < FLOOR {
        (Status::Fail, "Linux 5.18 or later is needed; replay works on any")
    } else if version < RECOMMENDED {
        (Status::Warn, "Linux 6.6 or later is recommended")
    } else {
        (Status::Ok, "")
    };
    Finding::new(status, "kernel", release, advice)
}

fn btf() -> Finding {
    let there = Path::new("/sys/kernel/btf/vmlinux").exists();
    let (status, found) = if there { (Status::Ok, "there") } else { (Status::Warn, "missing") };
    Finding::new(
        status,
        "kernel BTF",
        found,
        "a kernel with CONFIG_DEBUG_INFO_BTF=y gives better errors",
    )
}

fn jit() -> Finding {
    let value = read("/proc/sys/net/core/bpf_jit_enable");
    // A kernel that is always compiling does not show the switch to all.
    let (status, found) = match value.as_deref() {
        Some("0") => (Status::Warn, "off"),
        Some(_) => (Status::Ok, "on"),
        None => (Status::Ok, "not shown, on by default"),
    };
    Finding::new(
        status,
        "BPF compiler",
        found,
        "sysctl net.core.bpf_jit_enable=1; interpreted programs are slow",
    )
}

fn lockdown() -> Finding {
    let text = read("/sys/kernel/security/lockdown").unwrap_or_else(|| "[none]".to_owned());
    let found = text.split(['[', ']']).nth(1).unwrap_or("none").to_owned();
    let status = if found == "confidentiality" { Status::Fail } else { Status::Ok };
    Finding::new(
        status,
        "lockdown",
        found,
        "confidentiality lockdown forbids BPF to read packets into maps: boot with lockdown=integrity",
    )
}

fn bpffs() -> Finding {
    let mounts = read("/proc/mounts").unwrap_or_default();
    let mounted = mounts.lines().any(|line| line.split(' ').nth(2) == Some("bpf"));
    let (status, found) =
        if mounted { (Status::Ok, "mounted") } else { (Status::Warn, "not mounted") };
    Finding::new(
        status,
        "bpffs",
        found,
        "mount -t bpf bpf /sys/fs/bpf; the tap does without, inline mode will not",
    )
}

/// `CAP_SYS_ADMIN`: before CAP_BPF and CAP_PERFMON it stood for both, and still does.
const ADMIN: u32 = 21;

fn capabilities() -> Vec<Finding> {
    let effective = read("/proc/self/status")
        .and_then(|text| {
            let line =
                text.lines().find_map(|line| line.strip_prefix("CapEff:"))?.trim().to_owned();
            u64::from_str_radix(&line, 16).ok()
        })
        .unwrap_or(0);
    let has = |bit: u32| effective >> bit & 1 != 0;
    CAPABILITIES
        .iter()
        .map(|(bit, name, missing, advice)| {
            let there = has(*bit) || matches!(bit, 38 | 39) && has(ADMIN);
            let (status, found) = if there { (Status::Ok, "there") } else { (*missing, "missing") };
            Finding::new(status, name, found, advice)
        })
        .collect()
}

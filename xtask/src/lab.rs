//! Two namespaces, carrier and edge, joined by a veth pair; gone when dropped.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::Result;

use crate::run::check;

/// Addresses in the lab.
pub(crate) const CARRIER: &str = "10.99.0.1";
pub(crate) const EDGE: &str = "10.99.0.2";
/// The edge's interface.
pub(crate) const INTERFACE: &str = "edge0";

/// The lab.
#[derive(Debug)]
pub(crate) struct Lab {
    carrier: String,
    edge: String,
}

fn ip(args: &str) -> Result<()> {
    check(Command::new("ip").args(args.split(' ')))
}

impl Lab {
    /// Makes it; the names hold this process's id.
    pub(crate) fn new() -> Result<Self> {
        let id = std::process::id();
        let lab = Self { carrier: format!("scorer-c{id}"), edge: format!("scorer-e{id}") };
        let (carrier, edge) = (&lab.carrier, &lab.edge);
        ip(&format!("netns add {carrier}"))?;
        ip(&format!("netns add {edge}"))?;
        ip(&format!(
            "link add carrier0 netns {carrier} type veth peer name {INTERFACE} netns {edge}"
        ))?;
        for (namespace, interface, address) in
            [(carrier, "carrier0", CARRIER), (edge, INTERFACE, EDGE)]
        {
            ip(&format!("-n {namespace} addr add {address}/24 dev {interface}"))?;
            ip(&format!("-n {namespace} link set {interface} up"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
        }
        // Checksums left to a card that is not there are never computed.
        let mut offload = lab.carrier("ethtool");
        check(offload.args(["-K", "carrier0", "tx", "off"]).stdout(Stdio::null()))?;
        Ok(lab)
    }

    /// A command at the carrier's.
    pub(crate) fn carrier(&self, program: &str) -> Command {
        enter(&self.carrier, program)
    }

    /// A command at the edge.
    pub(crate) fn edge(&self, program: &str) -> Command {
        enter(&self.edge, program)
    }
}

/// `ip netns exec` would mount another /sys over bpffs; nsenter does not.
fn enter(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg(program);
    command
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.carrier, &self.edge] {
            let path = PathBuf::from("/run/netns").join(namespace);
            if path.exists() {
                let _ = ip(&format!("netns del {namespace}"));
            }
        }
    }
}

/// A process that is ended when dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Asks it to end (SIGTERM) and waits.
    pub(crate) fn end(mut self) -> Result<std::process::ExitStatus> {
        if self.ended()?.is_none() {
            let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        }
        Ok(self.0.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

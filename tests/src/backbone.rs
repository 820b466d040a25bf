//! A namespace that hosts of several labs reach, as the internet is between organisations.

use std::{path::Path, process::Command};

use crate::lab::{Lab, enter, inside, run, unique};

/// The address that every lab reaches it by.
pub const BACKBONE: &str = "10.97.0.1";

/// Gone, with everything in it, when dropped.
#[derive(Debug)]
pub struct Backbone {
    name: String,
}

impl Backbone {
    /// Makes it, and joins the edges of labs to it.
    ///
    /// # Panics
    /// When a namespace or a veth pair cannot be made.
    pub fn new(labs: &[&Lab]) -> Self {
        let backbone = Self { name: format!("scorer-tb{}", unique()) };
        let name = &backbone.name;
        run("ip", &format!("netns add {name}"));
        run("ip", &format!("-n {name} link set lo up"));
        run("ip", &format!("-n {name} addr add {BACKBONE}/32 dev lo"));
        for (i, lab) in labs.iter().enumerate() {
            let (edge, i) = (&lab.edge, i + 1);
            run(
                "ip",
                &format!("link add lab{i} netns {name} type veth peer name wan0 netns {edge}"),
            );
            run("ip", &format!("-n {name} addr add 10.97.{i}.1/24 dev lab{i}"));
            run("ip", &format!("-n {name} link set lab{i} up"));
            run("ip", &format!("-n {edge} addr add 10.97.{i}.2/24 dev wan0"));
            run("ip", &format!("-n {edge} link set wan0 up"));
            run("ip", &format!("-n {edge} route add {BACKBONE} via 10.97.{i}.1"));
            run("nsenter", &format!("--net=/run/netns/{edge} ethtool -K wan0 tx off"));
            run("nsenter", &format!("--net=/run/netns/{name} ethtool -K lab{i} tx off"));
        }
        backbone
    }

    /// A command in it.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        enter(&self.name, program.as_ref())
    }

    /// Runs something in a thread of its own in it.
    ///
    /// # Panics
    /// When it does, or the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.name, work)
    }
}

impl Drop for Backbone {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

//! Labelled carrier traffic for labs, tests and training: whole dialogs of a made-up
//! population behind made-up trunks, in the header styles of real stacks, with fraud
//! in its midst. The same seed gives the same bytes on every machine.
//!
//! What it cannot give is proof: a model that does well here has learnt what was
//! written into the recipes. docs/simulate.md says what they are.

mod call;
mod calls;
mod campaign;
mod dialog;
mod genuine;
mod interface;
mod invite;
mod live;
mod mix;
mod numbers;
mod passport;
mod random;
mod site;
mod style;
mod template;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

pub use call::Family;
pub use interface::{Interface, InterfaceError};
pub use live::{LiveError, LiveTotals, Uac};
pub use mix::{Drift, Mix};
pub use site::write as write_site;
pub use style::names as stacks;
pub use wire::Packet;

use crate::time::Timestamp;
use call::Spec;
use calls::Calls;
use dialog::{Dialog, Side, Step};
use random::{Stream, chance, hash, stream};
use style::IpId;
use world::Endpoint;

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A mix that cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A mix that cannot be.
    #[error("{what}")]
    Mix {
        /// What is wrong with it.
        what: String,
    },
    /// The site's certificates.
    #[error("cannot write certificates: {0}")]
    Certificates(String),
    /// The site's files.
    #[error("cannot write the site's files")]
    Site(#[source] io::Error),
}

/// The truth about one call.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Call-ID as it stands.
    pub call_id: &'a str,
    /// What it is.
    pub family: Family,
    /// Who is behind it: the same number for all calls of one party.
    pub actor: u64,
    /// Whose header style.
    pub stack: &'static str,
    /// Over which trunk.
    pub trunk: &'static str,
}

/// Takes what is simulated.
pub trait Sink {
    /// A message, in order of time.
    ///
    /// # Errors
    /// Ends the simulation.
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()>;

    /// The truth about a call, before its first message.
    ///
    /// # Errors
    /// Ends the simulation.
    fn label(&mut self, label: &Label<'_>) -> io::Result<()>;
}

/// What was simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls.
    pub calls: u64,
    /// Of them fraud.
    pub fraud: u64,
    /// Messages.
    pub messages: u64,
    /// Seconds from first to last message.
    pub seconds: u64,
}

/// A run of the simulator.
#[derive(Debug)]
pub struct Simulation {
    calls: Calls,
    retransmissions: f64,
    /// Messages to come, soonest first; the second number keeps the order of what comes
    /// at the same time.
    events: BinaryHeap<Reverse<(u64, u64, usize, Step)>>,
    order: u64,
    dialogs: Vec<Option<Dialog>>,
    free: Vec<usize>,
    random: Stream,
    writer: invite::Writer,
    ids: [u16; 256],
    totals: Totals,
}

impl Simulation {
    /// A simulation of so many calls.
    ///
    /// # Errors
    /// When the mix cannot be.
    pub fn new(mix: Mix, seed: u64, calls: u64) -> Result<Self, SimulateError> {
        Ok(Self {
            retransmissions: mix.retransmissions,
            calls: Calls::new(mix, seed, calls)?,
            events: BinaryHeap::new(),
            order: 0,
            dialogs: Vec::new(),
            free: Vec::new(),
            random: stream(seed, 0x6d65_7373, 0),
            writer: invite::Writer::new(seed),
            ids: [0; 256],
            totals: Totals::default(),
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn run(mut self, sink: &mut dyn Sink) -> io::Result<Totals> {
        let start = self.calls.start.0;
        let mut last = start;
        let mut call = self.calls.next();
        loop {
            let due = self.events.peek().map(|Reverse((time, ..))| *time);
            match (&call, due) {
                (Some((time, spec)), due) if due.is_none_or(|due| *time <= due) => {
                    last = *time;
                    self.begin(spec, *time, sink)?;
                    call = self.calls.next();
                }
                (_, Some(_)) => {
                    let Some(Reverse((time, _, call, step))) = self.events.pop() else { break };
                    last = time;
                    self.step(call, step, time, sink)?;
                }
                (_, None) => break,
            }
        }
        self.totals.seconds = (last - start) / 1_000_000_000;
        Ok(self.totals)
    }

    /// The INVITE of a call, and when the rest of it comes.
    fn begin(&mut self, spec: &Spec, now: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let at = Timestamp(now);
        let invite = self.writer.write(&self.calls.world, spec, at, &mut self.random);
        let dialog = Dialog::new(spec, invite, &mut self.random);
        sink.label(&Label {
            call_id: dialog.call_id(),
            family: spec.family,
            actor: spec.actor,
            stack: self.calls.world.styles[spec.from.style].name,
            trunk: world::TRUNKS[spec.from.trunk].name,
        })?;
        self.totals.calls += 1;
        self.totals.fraud += u64::from(spec.family.fraud());
        self.send(&spec.from, Side::Caller, &dialog.invite, at, sink)?;
        let place = self.free.pop().unwrap_or(self.dialogs.len());
        if place == self.dialogs.len() {
            self.dialogs.push(None);
        }
        self.dialogs[place] = Some(dialog);
        let again = chance(&mut self.random, self.retransmissions);
        for (seconds, step) in Dialog::schedule(spec, again, &mut self.random) {
            self.order += 1;
            let time = now + (seconds * 1e9) as u64;
            self.events.push(Reverse((time, self.order, place, step)));
        }
        Ok(())
    }

    fn step(&mut self, call: usize, step: Step, now: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let Some(dialog) = self.dialogs[call].take() else { return Ok(()) };
        if step == Step::Done {
            self.free.push(call);
            return Ok(());
        }
        let result = match dialog.message(step) {
            Some((side, message)) => self.send(&dialog.from, side, &message, Timestamp(now), sink),
            None => Ok(()),
        };
        self.dialogs[call] = Some(dialog);
        result
    }

    fn send(
        &mut self,
        from: &Endpoint,
        side: Side,
        payload: &[u8],
        timestamp: Timestamp,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let edge = if from.address.is_ipv4() {
            SocketAddr::from((Ipv4Addr::from(invite::EDGE), 5060))
        } else {
            SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1), 5060))
        };
        let style = &self.calls.world.styles[from.style];
        self.totals.messages += 1;
        let packet = match side {
            Side::Caller => {
                // Every sender numbers its own packets; by hash, so that few share.
                let place = hash(0, 0, u64::from(from.address.port()) ^ last_bits(from)) as usize;
                let counter = &mut self.ids[place % 256];
                *counter = counter.wrapping_add(1);
                Packet {
                    timestamp,
                    source: from.address,
                    destination: edge,
                    payload,
                    ttl: from.ttl,
                    dscp: style.dscp,
                    id: (style.ip_id == IpId::Count || payload.len() > 1_400).then_some(*counter),
                }
            }
            Side::Callee => Packet {
                timestamp,
                source: edge,
                destination: from.address,
                payload,
                ttl: 64,
                dscp: 24,
                id: None,
            },
        };
        sink.packet(&packet)
    }
}

fn last_bits(from: &Endpoint) -> u64 {
    match from.address {
        SocketAddr::V4(address) => u64::from(u32::from(*address.ip())) << 16,
        SocketAddr::V6(address) => (u128::from(*address.ip()) as u64) << 16,
    }
}

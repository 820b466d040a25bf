//! Where calls come from: a capture, an own tap, a running `scorer`.

mod local;
mod replay;
mod sse;
mod stream;
mod tap;

pub use stream::Address;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{
    call::{Call, Step},
    filter::Filter,
    rates::Rates,
    ring::Update,
};
use crate::{config::Config, model::Model, stir::Store};

/// What a source tells.
#[derive(Debug)]
pub(in crate::top) enum Event {
    /// A call.
    Call(Box<Call>),
    /// How one went on.
    Update(Update),
    /// A message of a call, by its Call-ID, and who sent it.
    Step {
        /// Call-ID, made safe.
        call_id: String,
        /// Address and port.
        sender: String,
        /// The message; its direction is a guess where the sender is neither end.
        step: Step,
    },
    /// Rates.
    Rates(Rates),
    /// Calls that came faster than they could be shown.
    Lost(u64),
    /// What was asked for about the call of this key.
    Details(u64, Result<Box<Call>, String>),
    /// How the source is: `reading`, `connected`.
    State(String),
    /// There will be no more, and why where that is not the end of a capture.
    End(Option<String>),
}

/// Events that may wait to be shown.
const QUEUE: usize = 4_096;

/// Where calls are to come from.
#[derive(Debug)]
pub enum From {
    /// These captures, in this order.
    Captures(Vec<PathBuf>),
    /// Interfaces of this host, by a tap of our own.
    Interfaces(Vec<String>),
    /// A running `scorer`; with this token.
    Running(Address, Option<String>),
}

/// What calls are scored with, where that is done here.
#[derive(Debug)]
pub struct Scoring {
    /// Configuration.
    pub config: Config,
    /// Model.
    pub model: Arc<Model>,
    /// Certificates that signatures are checked with.
    pub certificates: Option<Store>,
}

/// A source at work.
#[derive(Debug)]
pub struct Source {
    pub(super) events: Receiver<Event>,
    /// In a few words, for the title.
    pub(super) about: String,
    /// Calls go by, whether they are looked at or not.
    pub(super) live: bool,
    asking: Option<tokio::sync::mpsc::Sender<u64>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Source {
    /// Opens it, and starts a thread that reads it. `filter` need not be kept to: a
    /// running scorer is asked to send no others.
    ///
    /// # Errors
    /// When a capture cannot be read or an interface not be tapped. That nobody answers
    /// at the address of a running scorer is told later: it is tried again.
    pub fn open(from: From, scoring: Scoring, filter: &Filter) -> anyhow::Result<Self> {
        let (sender, events) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut asking = None;
        let (about, live, work): (String, bool, Box<dyn FnOnce() + Send>) = match from {
            From::Captures(files) => {
                let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                let mut replay = replay::Replay::open(&files, scoring)?;
                let work = move || replay.run(&sender, &stopped);
                (format!("capture {}", names.join(" ")), false, Box::new(work))
            }
            From::Interfaces(interfaces) => {
                let about = format!("tap on {}", interfaces.join(", "));
                let tap = tap::OwnTap::open(interfaces, scoring)?;
                (about, true, Box::new(move || tap.run(&sender, &stopped)))
            }
            From::Running(address, token) => {
                let about = format!("scorer at {address}");
                let (ask, questions) = tokio::sync::mpsc::channel(4);
                asking = Some(ask);
                let stream = stream::Stream::new(address, token, filter);
                (about, true, Box::new(move || stream.run(&sender, questions, &stopped)))
            }
        };
        let thread = thread::Builder::new().name("source".into()).spawn(work)?;
        Ok(Self { events, about, live, asking, stop, thread: Some(thread) })
    }

    /// Asks for details of a call; false when there is nobody to ask, or too much asked.
    pub(super) fn ask(&self, key: u64) -> bool {
        self.asking.as_ref().is_some_and(|asking| asking.try_send(key).is_ok())
    }

    /// One for tests.
    #[cfg(test)]
    pub(super) fn test(events: Receiver<Event>, about: &str, live: bool) -> Self {
        let (about, stop) = (about.to_owned(), Arc::default());
        Self { events, about, live, asking: None, stop, thread: None }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Whoever waits to send is told that nobody reads.
        let (_, nothing) = sync_channel(0);
        self.events = nothing;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! Calls scored here, from frames.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
};

use rlibphonenumber::PHONE_NUMBER_UTIL;

use super::{Event, Scoring};
use crate::{
    capture::{Assembler, AssemblerConfig, Frame, SipPacket},
    engine::{Assessment, Engine},
    history::Change,
    output::{Style, json_line},
    sip::{self, Message, Method, StartLine},
    time::Timestamp,
    top::{
        call::{Call, Details, Features, HeaderLine, Step},
        clean,
        ring::Update,
    },
};

/// Bytes of an INVITE that are kept to be shown.
const MESSAGE: usize = 8 << 10;
/// Lines of it.
const LINES: usize = 200;

/// What to do when the events' queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Wait: a capture can.
    Wait,
    /// Drop and count: packets do not wait.
    Drop,
}

/// The engine, and what is told of its calls.
#[derive(Debug)]
pub(super) struct Local {
    engine: Engine,
    /// Reads the same frames once more, for the ladders: the engine tells of calls, not
    /// of their messages.
    assembler: Assembler,
    scratch: sip::Scratch,
    mask: bool,
    out: Outlet,
}

/// Where events go.
#[derive(Debug)]
struct Outlet {
    events: Option<SyncSender<Event>>,
    full: Full,
    lost: u64,
    regions: HashMap<u16, String>,
    line: Vec<u8>,
}

impl Local {
    /// An engine that has seen nothing.
    ///
    /// # Errors
    /// When the configuration's files cannot be used.
    pub(super) fn new(scoring: Scoring, full: Full) -> anyhow::Result<Self> {
        let Scoring { config, model, certificates } = scoring;
        let mut engine = Engine::new(&config.engine, model)?;
        if let Some(store) = certificates {
            engine.set_store(Arc::new(store));
        }
        let assembler = AssemblerConfig {
            tcp_flows: 4_096,
            tcp_total_bytes: 16 << 20,
            ..config.engine.assembler.clone()
        };
        let outlet =
            Outlet { events: None, full, lost: 0, regions: HashMap::new(), line: Vec::new() };
        Ok(Self {
            engine,
            assembler: Assembler::new(&assembler),
            scratch: sip::Scratch::new(),
            mask: config.style.mask,
            out: outlet,
        })
    }

    /// Sends events here from now on.
    pub(super) fn send_to(&mut self, events: SyncSender<Event>) {
        self.out.events = Some(events);
    }

    /// Takes a frame; false when nobody wants to know any more. `latency` gives the time
    /// since the kernel saw it, ns.
    pub(super) fn frame(
        &mut self,
        frame: &Frame<'_>,
        latency: &mut dyn FnMut() -> Option<u64>,
    ) -> bool {
        let Self { engine, assembler, scratch, mask, out } = self;
        engine.inspect(frame, &mut |assessment| out.call(assessment, latency(), *mask));
        engine.changes().for_each(|change| out.change(&change));
        assembler.push(frame, &mut |packet| out.step(packet, scratch));
        out.events.is_some()
    }

    /// What waits behind segments that will not come; `None` is the end.
    pub(super) fn settle(&mut self, now: Option<Timestamp>) {
        let Self { engine, assembler, scratch, mask, out } = self;
        engine.settle(now, &mut |assessment| out.call(assessment, None, *mask));
        engine.changes().for_each(|change| out.change(&change));
        assembler.settle(now, &mut |packet| out.step(packet, scratch));
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.out.send(event);
    }

    /// Events that found the queue full since this was last asked.
    pub(super) fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.out.lost)
    }
}

impl Outlet {
    fn send(&mut self, event: Event) {
        let Some(events) = &self.events else { return };
        match self.full {
            Full::Wait => {
                if events.send(event).is_err() {
                    self.events = None;
                }
            }
            Full::Drop => match events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => self.lost += 1,
                Err(TrySendError::Disconnected(_)) => self.events = None,
            },
        }
    }

    fn call(&mut self, a: &Assessment<'_>, latency: Option<u64>, mask: bool) {
        self.line.clear();
        let style = Style { mask, ..Style::default() };
        json_line(a, style, latency, &mut self.line);
        let mut call = match Call::read(&self.line) {
            Ok(call) => call,
            Err(error) => return log::error!("a verdict's line cannot be read: {error}"),
        };
        call.key = a.verdict.call;
        let [from, to] = a.countries;
        call.caller_country = self.region(from);
        call.callee_country = self.region(to);
        // The message has the numbers in it.
        let message = if mask { &[] } else { a.message };
        let lines = clean::lines(&message[..message.len().min(MESSAGE)], LINES);
        call.details = Some(Box::new(Details {
            features: Features::Scored(a.features.into()),
            headers: lines.into_iter().map(|text| HeaderLine { text, odd: None }).collect(),
        }));
        self.send(Event::Call(Box::new(call)));
    }

    /// ISO 3166 code of the country of an E.164 code; of several the main one.
    fn region(&mut self, code: u16) -> String {
        if code == 0 {
            return String::new();
        }
        let find = || {
            let region = PHONE_NUMBER_UTIL.get_region_code_for_country_code(i32::from(code));
            region.filter(|region| region.len() == 2).unwrap_or_default().to_owned()
        };
        self.regions.entry(code).or_insert_with(find).clone()
    }

    fn change(&mut self, change: &Change) {
        let known = |seconds: f32| seconds.is_finite().then_some(f64::from(seconds));
        self.send(Event::Update(Update {
            key: change.call,
            outcome: change.progress.name().to_owned(),
            code: change.code,
            setup: known(change.setup),
            duration: known(change.duration),
        }));
    }

    fn step(&mut self, packet: &SipPacket<'_>, scratch: &mut sip::Scratch) {
        let Ok(message) = Message::parse(packet.bytes, packet.scan, scratch) else { return };
        let Some(call_id) = message.call_id() else { return };
        let call_id = clean::text(&String::from_utf8_lossy(call_id));
        let (what, is_request) = match *message.start() {
            StartLine::Request { method, .. } => (format!("{method:?}").to_uppercase(), true),
            StartLine::Status { code, .. } => match message.cseq() {
                Some((_, Method::Invite)) | None => (code.to_string(), false),
                Some((_, method)) => {
                    (format!("{code} ({})", format!("{method:?}").to_uppercase()), false)
                }
            },
        };
        let at = packet.meta.timestamp;
        let sender = packet.meta.source.to_string();
        self.send(Event::Step {
            call_id,
            sender,
            step: Step { at, from_caller: is_request, what },
        });
    }
}

//! The same calls made for real, over one UDP socket: for labs. A user agent that knows
//! what RFC 3261 asks of a caller, and no more: it does not authenticate, follows no
//! redirect, and sends an INVITE twice at most.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use super::{
    Label, Mix, SimulateError,
    call::{End, Spec},
    calls::Calls,
    dialog::{Dialog, Step},
    invite,
    random::{Stream, stream},
    world::TRUNKS,
};
use crate::tap::wall;

/// T1 of RFC 3261.
const T1: Duration = Duration::from_millis(500);
/// An INVITE that nobody answers for so long has failed.
const PATIENCE: Duration = Duration::from_secs(8);
/// Largest message taken.
const LARGEST: usize = 65_535;

/// Why calls cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// Not an address of a lab.
    #[error("{0} is not in a lab: give a loopback, private, link-local or documentation address")]
    NotALab(IpAddr),
    /// The mix.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The socket.
    #[error("cannot send calls: {0}")]
    Io(#[from] io::Error),
}

/// What became of the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveTotals {
    /// INVITEs sent, each once.
    pub calls: u64,
    /// Calls that were answered, and ended.
    pub answered: u64,
    /// Calls that were cancelled in time.
    pub cancelled: u64,
    /// Final responses but 200, by code.
    pub failed: HashMap<u16, u64>,
    /// INVITEs that nobody answered.
    pub unanswered: u64,
    /// INVITEs sent again.
    pub again: u64,
}

/// What comes next in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Again,
    Cancel,
    Bye,
    GiveUp,
    /// Whoever was to answer the BYE has had the time.
    Ended,
}

/// A call that goes on.
#[derive(Debug)]
struct Leg {
    dialog: Dialog,
    end: End,
    ring: f64,
    /// Something came back.
    heard: bool,
    /// It was accepted or refused.
    decided: bool,
    cancelled: bool,
}

/// A caller.
#[derive(Debug)]
pub struct Uac {
    socket: UdpSocket,
    /// Seconds of traffic a second.
    speed: f64,
    legs: HashMap<String, Leg>,
    timers: BinaryHeap<Reverse<(Instant, String, Timer)>>,
    totals: LiveTotals,
}

/// Whether an address may be called: nobody's real switch.
fn lab(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let benchmark = v4.octets()[0] == 198 && v4.octets()[1] & 0xfe == 18;
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_documentation()
                || benchmark
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            let documentation = first == 0x2001 && v6.segments()[1] == 0xdb8;
            v6.is_loopback()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || documentation
        }
    }
}

impl Uac {
    /// One that calls `to`, from `from` or from where the route leads.
    ///
    /// # Errors
    /// [`LiveError`] when `to` is not in a lab, or there is no socket.
    pub fn new(from: Option<SocketAddr>, to: SocketAddr, speed: f64) -> Result<Self, LiveError> {
        if !lab(to.ip()) {
            return Err(LiveError::NotALab(to.ip()));
        }
        let any: SocketAddr =
            if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(from.unwrap_or(any))?;
        // Its own address becomes known, and others' packets do not come.
        socket.connect(to)?;
        Ok(Self {
            socket,
            speed,
            legs: HashMap::new(),
            timers: BinaryHeap::new(),
            totals: LiveTotals::default(),
        })
    }

    /// Makes the calls, in their time; `label` is told the truth about each.
    ///
    /// # Errors
    /// When the mix cannot be, or nothing can be sent.
    pub fn run(
        mut self,
        mix: Mix,
        seed: u64,
        calls: u64,
        label: &mut dyn FnMut(&Label<'_>) -> io::Result<()>,
    ) -> Result<LiveTotals, LiveError> {
        let mut source = Calls::new(mix, seed, calls)?;
        let mut random = stream(seed, 0x6c69_7665, 0);
        let mut writer = invite::Writer::new(seed);
        let own = self.socket.local_addr()?;
        let (begin, start) = (Instant::now(), source.start.0);
        let mut call = source.next();
        let mut buffer = vec![0; LARGEST];
        loop {
            let at = |time: u64| {
                begin + Duration::from_secs_f64((time - start) as f64 / 1e9 / self.speed)
            };
            let next_call = call.as_ref().map(|(time, _)| at(*time));
            let next_timer = self.timers.peek().map(|Reverse((time, ..))| *time);
            let Some(next) = next_call.into_iter().chain(next_timer).min() else { break };
            let now = Instant::now();
            if next > now {
                let wait = (next - now).min(Duration::from_millis(50));
                self.socket.set_read_timeout(Some(wait.max(Duration::from_micros(100))))?;
                match self.socket.recv(&mut buffer) {
                    Ok(length) => self.received(&buffer[..length])?,
                    Err(error) if is_pause(&error) => {}
                    Err(error) => return Err(error.into()),
                }
                continue;
            }
            if next_timer.is_some_and(|timer| timer <= now) {
                self.timer()?;
            } else if let Some((_, mut spec)) = call.take() {
                (spec.from.address, spec.from.nat, spec.from.relayed) = (own, own.ip(), false);
                // What is signed and dated is of now, at whatever speed the simulation goes.
                let invite = writer.write(&source.world, &spec, wall(), &mut random);
                self.begin(&spec, invite, &source, &mut random, label)?;
                call = source.next();
            }
        }
        Ok(self.totals)
    }

    fn begin(
        &mut self,
        spec: &Spec,
        invite: Vec<u8>,
        source: &Calls,
        random: &mut Stream,
        label: &mut dyn FnMut(&Label<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let dialog = Dialog::new(spec, invite, random);
        label(&Label {
            call_id: dialog.call_id(),
            family: spec.family,
            actor: spec.actor,
            stack: source.world.styles[spec.from.style].name,
            trunk: TRUNKS[spec.from.trunk].name,
        })?;
        self.send(&dialog.invite)?;
        self.totals.calls += 1;
        let call_id = dialog.call_id().to_owned();
        self.later(T1, &call_id, Timer::Again);
        self.later(PATIENCE, &call_id, Timer::GiveUp);
        let (end, ring) = (spec.end, spec.ring / self.speed);
        let leg = Leg { dialog, end, ring, heard: false, decided: false, cancelled: false };
        self.legs.insert(call_id, leg);
        Ok(())
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self.socket.send(message) {
            // Nobody listens yet, or not any more: that is for the totals.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            result => result.map(|_| ()),
        }
    }

    fn later(&mut self, wait: Duration, call_id: &str, timer: Timer) {
        self.timers.push(Reverse((Instant::now() + wait, call_id.to_owned(), timer)));
    }

    fn timer(&mut self) -> io::Result<()> {
        let Some(Reverse((_, call_id, timer))) = self.timers.pop() else { return Ok(()) };
        let Some(leg) = self.legs.get_mut(&call_id) else { return Ok(()) };
        let step = match timer {
            Timer::Again if !leg.heard => {
                self.totals.again += 1;
                Some(Step::Again)
            }
            Timer::Cancel if !leg.decided => {
                leg.cancelled = true;
                Some(Step::Cancel)
            }
            Timer::Bye => {
                self.timers.push(Reverse((Instant::now() + 2 * T1, call_id.clone(), Timer::Ended)));
                Some(Step::Bye)
            }
            Timer::Ended => {
                self.totals.answered += 1;
                self.legs.remove(&call_id);
                None
            }
            Timer::GiveUp if !leg.heard => {
                self.totals.unanswered += 1;
                self.legs.remove(&call_id);
                None
            }
            _ => None,
        };
        let message = step.and_then(|step| self.legs.get(&call_id)?.dialog.message(step));
        message.map_or(Ok(()), |(_, message)| self.send(&message))
    }

    fn received(&mut self, message: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(message);
        let Some(answer) = Answer::read(&text) else { return Ok(()) };
        let Some(leg) = self.legs.get_mut(answer.call_id) else { return Ok(()) };
        leg.heard = true;
        let Some(code) = answer.code else {
            // The callee hangs up.
            if text.starts_with("BYE ") {
                let ok =
                    text.replacen(text.lines().next().unwrap_or_default(), "SIP/2.0 200 OK", 1);
                self.send(ok.as_bytes())?;
                self.totals.answered += 1;
                self.legs.remove(answer.call_id);
            }
            return Ok(());
        };
        if answer.method == "BYE" {
            self.totals.answered += 1;
            self.legs.remove(answer.call_id);
            return Ok(());
        }
        if answer.method != "INVITE" {
            return Ok(());
        }
        let first = !leg.decided;
        match code {
            100..200 => {
                if leg.end == End::Cancel && !leg.cancelled {
                    let wait = Duration::from_secs_f64(leg.ring);
                    self.later(wait, answer.call_id, Timer::Cancel);
                }
            }
            200..300 => {
                leg.decided = true;
                leg.dialog.answered(answer.to, answer.contact);
                let talk = if let End::Talk(talk, _) = leg.end { talk } else { 0.1 };
                let ack = leg.dialog.message(Step::Ack);
                if first {
                    let wait = Duration::from_secs_f64((talk / self.speed).max(0.02));
                    self.later(wait, answer.call_id, Timer::Bye);
                }
                if let Some((_, ack)) = ack {
                    self.send(&ack)?;
                }
            }
            code => {
                leg.dialog.refused(answer.to);
                leg.dialog.ends(End::Fail(code));
                if let Some((_, ack)) = leg.dialog.message(Step::Ack) {
                    self.send(&ack)?;
                }
                if code == 487 {
                    self.totals.cancelled += 1;
                } else {
                    *self.totals.failed.entry(code).or_default() += 1;
                }
                self.legs.remove(answer.call_id);
            }
        }
        Ok(())
    }
}

fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}

/// What is looked at in what comes back.
struct Answer<'a> {
    /// None for a request.
    code: Option<u16>,
    call_id: &'a str,
    method: &'a str,
    /// Value of To.
    to: &'a str,
    contact: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let head = text.split_once("\r\n\r\n").map_or(text, |(head, _)| head);
        let code = head.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let value = |long: &str, short: &str| {
            head.split("\r\n").skip(1).find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let name = name.trim();
                (name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(short))
                    .then(|| value.trim())
            })
        };
        Some(Self {
            code,
            call_id: value("Call-ID", "i")?,
            method: value("CSeq", "CSeq")?.split_whitespace().nth(1)?,
            to: value("To", "t")?,
            contact: value("Contact", "m"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LiveError, Uac, lab};

    #[test]
    fn only_labs_are_called() {
        for (address, may) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("198.18.0.1", true),
            ("192.0.2.1", true),
            ("fd00::1", true),
            ("::1", true),
            ("8.8.8.8", false),
            ("198.20.0.1", false),
            ("2a00:1450::1", false),
        ] {
            assert_eq!(lab(address.parse().unwrap()), may, "{address}");
        }
        let far = Uac::new(None, "8.8.8.8:5060".parse().unwrap(), 1.0);
        assert!(matches!(far, Err(LiveError::NotALab(_))));
    }
}

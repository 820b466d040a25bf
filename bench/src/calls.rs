//! Simulated calls as the engine assessed them, to be recorded again and again.

use std::io;

use anyhow::Result;
use scorer::{
    capture::Frame,
    engine::{Assessment, Reason},
    records::Recorder,
    simulate::{Label, Mix, Packet, Simulation, Sink},
    time::Timestamp,
};

/// Gives every frame of simulated traffic on.
struct Each<'a>(&'a mut dyn FnMut(&Frame<'_>));

impl Sink for Each<'_> {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        packet.frames(&mut |frame| {
            (self.0)(frame);
            Ok(())
        })
    }

    fn label(&mut self, _: &Label<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Frames of so many simulated calls.
///
/// # Errors
/// None, as long as the built-in mix is good.
pub fn traffic(calls: u64, each: &mut dyn FnMut(&Frame<'_>)) -> Result<()> {
    Simulation::new(Mix::default(), 1, calls)?.run(&mut Each(each))?;
    Ok(())
}

/// An assessment that owns what it says.
#[derive(Debug)]
pub struct Kept {
    call_id: Vec<u8>,
    caller: Vec<u8>,
    callee: Vec<u8>,
    network: Option<Vec<u8>>,
    features: Vec<f32>,
    reasons: Vec<Reason>,
    about: Assessment<'static>,
}

impl Kept {
    /// A copy.
    pub fn of(a: &Assessment<'_>) -> Self {
        let about = Assessment {
            verdict: a.verdict,
            call_id: b"",
            from_tag: b"",
            caller: b"",
            callee: b"",
            from_user: b"",
            to_user: b"",
            network_number: None,
            meta: a.meta,
            signature: a.signature,
            trunk: None,
            features: &[],
            reasons: &[],
            model: "built-in",
            lists: a.lists,
            listed: None,
            decision: scorer::policy::Decision::PASS,
            profile: a.profile,
            countries: a.countries,
            message: b"",
            evidence: a.evidence,
            belongs: a.belongs,
            shared: None,
            marks: a.marks,
            update: false,
        };
        Self {
            call_id: a.call_id.to_owned(),
            caller: a.caller.to_owned(),
            callee: a.callee.to_owned(),
            network: a.network_number.map(<[u8]>::to_owned),
            features: a.features.to_owned(),
            reasons: a.reasons.to_owned(),
            about,
        }
    }

    /// When the call was.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.about.verdict.timestamp)
    }

    /// Key of the call.
    pub fn key(&self) -> u64 {
        self.about.verdict.call
    }

    /// Its Call-ID, as [`Self::record`] has it.
    pub fn call_id(&self, again: Option<u64>) -> String {
        let call_id = String::from_utf8_lossy(&self.call_id);
        again.map_or_else(|| call_id.to_string(), |again| format!("{again}-{call_id}"))
    }

    /// Records it as a call of another moment. A repetition's number makes it another call of
    /// another caller's.
    pub fn record(&self, recorder: &mut Recorder, now: Timestamp, key: u64, again: Option<u64>) {
        let mut verdict = self.about.verdict;
        verdict.timestamp = now.0;
        verdict.call = key;
        // Not made where nothing is to be changed: what this takes is measured.
        let call_id = again.map(|_| self.call_id(again));
        let call_id = call_id.as_ref().map_or(&*self.call_id, String::as_bytes);
        let profile = self.about.profile ^ again.unwrap_or(0) << 40;
        let assessment = Assessment {
            verdict,
            profile,
            call_id,
            caller: &self.caller,
            callee: &self.callee,
            network_number: self.network.as_deref(),
            features: &self.features,
            reasons: &self.reasons,
            ..self.about
        };
        recorder.call(&assessment, Some(9_000));
    }
}

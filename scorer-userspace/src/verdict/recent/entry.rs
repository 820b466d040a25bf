//! One verdict, owned.

use scorer_common::{
    Verdict,
    verdict::{Action, Tag, Tags},
};

use crate::{
    engine::Assessment,
    policy::{Response, Target},
};

/// What is said of a call, as far as a redirect answer needs it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// The record.
    pub verdict: Verdict,
    /// Name of the model.
    pub model: &'a str,
    /// What policy says is to be done; [`Action::Pass`] for emergency calls.
    pub action: Action,
    /// How a call is refused, where it is.
    pub response: Response,
    /// User that a call is diverted to.
    pub user: Option<&'a str>,
    /// Host that a call is diverted to.
    pub host: Option<&'a str>,
}

impl<'a> Outcome<'a> {
    /// Of an assessment.
    pub fn of(assessment: &'a Assessment<'_>) -> Self {
        let decision = &assessment.decision;
        let target = decision.target;
        Self {
            verdict: assessment.verdict,
            model: assessment.model,
            action: act(&assessment.verdict, decision.action),
            response: decision.response,
            user: target.and_then(|target: &Target| target.user.as_deref()),
            host: target.and_then(|target: &Target| target.host.as_deref()),
        }
    }
}

/// Emergency calls are never acted on, whatever policy says.
fn act(verdict: &Verdict, action: Action) -> Action {
    if Tags(verdict.tags).contains(Tag::Emergency) { Action::Pass } else { action }
}

/// Longest Call-ID and From tag that are kept as they stand, bytes.
const LONGEST: usize = 512;

/// What a Call-ID or From tag is kept and found as: itself, or its SHA-256 where it is
/// very long. A stranger chooses it, and must not stay unknown by its length.
pub fn ident<'a>(id: &'a [u8], room: &'a mut [u8; 32]) -> &'a [u8] {
    if id.len() <= LONGEST {
        return id;
    }
    room.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, id).as_ref());
    room
}

/// One verdict with its line. Made once, filled again and again.
#[derive(Debug)]
pub struct Entry {
    call_id: Vec<u8>,
    from_tag: Vec<u8>,
    line: Vec<u8>,
    model: String,
    verdict: Verdict,
    action: Action,
    response: Response,
    /// Meaningful where the flag beside it is set.
    user: (String, bool),
    host: (String, bool),
}

impl Entry {
    /// An empty one, with room for what is usual.
    pub fn new() -> Self {
        Self {
            call_id: Vec::with_capacity(128),
            from_tag: Vec::with_capacity(64),
            line: Vec::with_capacity(1536),
            model: String::with_capacity(32),
            verdict: crate::verdict::wire::parse(&[0; crate::verdict::wire::RECORD]),
            action: Action::Pass,
            response: Response::default(),
            user: (String::new(), false),
            host: (String::new(), false),
        }
    }

    /// Takes a verdict in.
    pub fn fill(&mut self, assessment: &Assessment<'_>, verdict: &Verdict, line: &[u8]) {
        let put = |place: &mut Vec<u8>, bytes: &[u8]| {
            place.clear();
            place.extend_from_slice(bytes);
        };
        let mut room = [0; 32];
        put(&mut self.call_id, ident(assessment.call_id, &mut room));
        put(&mut self.from_tag, ident(assessment.from_tag, &mut room));
        put(&mut self.line, line);
        let outcome = Outcome::of(assessment);
        let set = |place: &mut String, text: &str| {
            place.clear();
            place.push_str(text);
        };
        set(&mut self.model, outcome.model);
        self.verdict = *verdict;
        (self.action, self.response) = (outcome.action, outcome.response);
        for (place, value) in [(&mut self.user, outcome.user), (&mut self.host, outcome.host)] {
            place.1 = value.is_some();
            set(&mut place.0, value.unwrap_or_default());
        }
    }

    /// Call-ID, as [`ident`] makes it.
    pub fn call_id(&self) -> &[u8] {
        &self.call_id
    }

    /// From tag, likewise.
    pub fn from_tag(&self) -> &[u8] {
        &self.from_tag
    }

    /// The line of `--format jsonl`, with its end.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// What it says.
    pub fn outcome(&self) -> Outcome<'_> {
        Outcome {
            verdict: self.verdict,
            model: &self.model,
            action: self.action,
            response: self.response,
            user: self.user.1.then_some(&*self.user.0),
            host: self.host.1.then_some(&*self.host.0),
        }
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self::new()
    }
}

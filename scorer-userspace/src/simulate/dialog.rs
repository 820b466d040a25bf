//! The messages of one call after its INVITE (RFC 3261 sections 8, 9, 13, 15, 17).

use std::fmt::Write as _;

use rand::RngExt as _;

use super::{
    call::{End, Spec},
    random::Stream,
    world::Endpoint,
};

/// What comes next in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Again,
    Trying,
    Ringing,
    Cancel,
    CancelOk,
    Final,
    Ack,
    Bye,
    ByeOk,
    /// Nothing: the call is forgotten.
    Done,
}

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    Callee,
}

/// What is kept of a call while it lasts.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) from: Endpoint,
    pub(super) invite: Vec<u8>,
    end: End,
    /// Via and Record-Route of the INVITE, and what else responses repeat, as they stand.
    repeated: String,
    /// Topmost Via of it.
    via: String,
    from_line: String,
    to_line: String,
    call_id: String,
    cseq: u32,
    target: String,
    /// Where requests within the dialog go.
    contact: String,
    /// Parameter of To once somebody has answered.
    to_tag: String,
}

impl Dialog {
    pub(super) fn new(spec: &Spec, invite: Vec<u8>, random: &mut Stream) -> Self {
        let mut dialog = Self {
            from: spec.from,
            end: spec.end,
            repeated: String::with_capacity(512),
            via: String::new(),
            from_line: String::new(),
            to_line: String::new(),
            call_id: String::new(),
            cseq: 1,
            target: String::new(),
            contact: "sip:edge@198.51.100.1:5060".to_owned(),
            to_tag: format!("{:016x}", random.random::<u64>()),
            invite: Vec::new(),
        };
        let end = invite.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(invite.len());
        // Templates are text up to the body.
        let head = std::str::from_utf8(&invite[..end]).unwrap_or_default();
        dialog.target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        for line in head.split("\r\n").skip(1) {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("via") {
                if dialog.via.is_empty() {
                    line.clone_into(&mut dialog.via);
                }
                dialog.repeat(line);
            } else if is("record-route") {
                dialog.repeat(line);
            } else if is("from") {
                line.clone_into(&mut dialog.from_line);
                dialog.repeat(line);
            } else if is("call-id") {
                line.clone_into(&mut dialog.call_id);
                dialog.repeat(line);
            } else if is("to") {
                line.clone_into(&mut dialog.to_line);
            } else if is("cseq") {
                let number = value.split_whitespace().next().and_then(|word| word.parse().ok());
                dialog.cseq = number.unwrap_or(1);
            }
        }
        dialog.invite = invite;
        dialog
    }

    /// Call-ID, as it stands.
    pub(super) fn call_id(&self) -> &str {
        self.call_id.split_once(':').map_or("", |(_, id)| id.trim())
    }

    /// Somebody real has answered: requests go to its contact, with its tag.
    pub(super) fn answered(&mut self, to: &str, contact: Option<&str>) {
        self.refused(to);
        if let End::Cancel | End::Fail(_) = self.end {
            self.end = End::Talk(0.0, true);
        }
        let contact = contact.and_then(|contact| match contact.split_once('<') {
            Some((_, uri)) => uri.split_once('>').map(|(uri, _)| uri),
            None => contact.split(';').next(),
        });
        contact.unwrap_or(&self.target).to_owned().clone_into(&mut self.contact);
    }

    /// Somebody real has refused it.
    pub(super) fn refused(&mut self, to: &str) {
        let tag = to.split_once(";tag=").map_or("", |(_, tag)| tag);
        tag.split([';', '>']).next().unwrap_or_default().clone_into(&mut self.to_tag);
    }

    /// It is not what was planned that ended it.
    pub(super) fn ends(&mut self, end: End) {
        self.end = end;
    }

    fn repeat(&mut self, line: &str) {
        self.repeated.push_str(line);
        self.repeated.push_str("\r\n");
    }

    /// Seconds from the INVITE to each step, in no order.
    pub(super) fn schedule(spec: &Spec, again: bool, random: &mut Stream) -> Vec<(f64, Step)> {
        let mut soon = |most: f64| 0.001 + random.random::<f64>() * most;
        let trying = soon(0.004) + if again { 0.6 } else { 0.0 };
        let mut steps = vec![(trying, Step::Trying)];
        if again {
            steps.push((0.5, Step::Again));
        }
        let rings = !spec.refused && !matches!(spec.end, End::Fail(404 | 503));
        let setup = trying + spec.setup;
        if rings {
            steps.push((setup, Step::Ringing));
        }
        let end = setup + spec.ring + soon(0.01);
        match spec.end {
            End::Talk(talk, _) => {
                let acked = end + soon(0.06);
                let over = acked + talk.max(0.05);
                steps.extend([(end, Step::Final), (acked, Step::Ack), (over, Step::Bye)]);
                let last = over + soon(0.06);
                steps.extend([(last, Step::ByeOk), (last + 1.0, Step::Done)]);
            }
            End::Cancel => {
                let ok = end + soon(0.02);
                let (last, acked) = (ok + soon(0.01), ok + 0.03 + soon(0.03));
                steps.extend([(end, Step::Cancel), (ok, Step::CancelOk), (last, Step::Final)]);
                steps.extend([(acked, Step::Ack), (acked + 1.0, Step::Done)]);
            }
            End::Fail(_) => {
                let acked = end + soon(0.06);
                steps.extend([(end, Step::Final), (acked, Step::Ack), (acked + 1.0, Step::Done)]);
            }
        }
        steps
    }

    /// The message of a step, and who sends it.
    pub(super) fn message(&self, step: Step) -> Option<(Side, Vec<u8>)> {
        let by_caller = |text: String| Some((Side::Caller, text.into_bytes()));
        let by_callee = |text: String| Some((Side::Callee, text.into_bytes()));
        match step {
            Step::Again => Some((Side::Caller, self.invite.clone())),
            Step::Trying => by_callee(self.response(100, "INVITE", false)),
            Step::Ringing => by_callee(self.response(180, "INVITE", true)),
            Step::Cancel => by_caller(self.request("CANCEL", &self.via, false)),
            Step::CancelOk => by_callee(self.response(200, "CANCEL", true)),
            Step::Final => {
                let code = match self.end {
                    End::Talk(..) => 200,
                    End::Cancel => 487,
                    End::Fail(code) => code,
                };
                by_callee(self.response(code, "INVITE", true))
            }
            Step::Ack => match self.end {
                // A transaction of its own.
                End::Talk(..) => by_caller(self.request("ACK", &self.other_via("a"), true)),
                _ => by_caller(self.request("ACK", &self.via, true)),
            },
            Step::Bye => match self.end {
                End::Talk(_, false) => by_callee(self.bye_by_callee()),
                _ => by_caller(self.request("BYE", &self.other_via("b"), true)),
            },
            Step::ByeOk => match self.end {
                End::Talk(_, false) => {
                    let text = self.bye_by_callee();
                    let rest = text.split_once("\r\n").map_or("", |(_, rest)| rest);
                    by_caller(format!("SIP/2.0 200 OK\r\n{rest}"))
                }
                _ => by_callee(self.answer_to_bye()),
            },
            Step::Done => None,
        }
    }

    /// The topmost Via with another branch.
    fn other_via(&self, mark: &str) -> String {
        match self.via.split_once("branch=") {
            Some((before, branch)) => {
                let (branch, after) = branch.split_once(';').unwrap_or((branch, ""));
                let after = if after.is_empty() { String::new() } else { format!(";{after}") };
                format!("{before}branch={branch}{mark}{after}")
            }
            None => self.via.clone(),
        }
    }

    fn response(&self, code: u16, method: &str, tagged: bool) -> String {
        let reason = match code {
            100 => "Trying",
            180 => "Ringing",
            200 => "OK",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            480 => "Temporarily Unavailable",
            484 => "Address Incomplete",
            486 => "Busy Here",
            487 => "Request Terminated",
            488 => "Not Acceptable Here",
            503 => "Service Unavailable",
            _ => "Decline",
        };
        let mut text = format!("SIP/2.0 {code} {reason}\r\n{}{}", self.repeated, self.to_line);
        // Writing to a String cannot fail.
        if tagged {
            let _ = write!(text, ";tag={}", self.to_tag);
        }
        let _ = write!(text, "\r\nCSeq: {} {method}\r\n", self.cseq);
        if code == 401 {
            text.push_str("WWW-Authenticate: Digest realm=\"edge.example.net\",nonce=\"6f1a\"\r\n");
        }
        if code == 200 && method == "INVITE" {
            let offer = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
                         m=audio 20000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
            let _ = write!(
                text,
                "Contact: <sip:edge@198.51.100.1:5060>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{offer}",
                offer.len()
            );
            return text;
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        text
    }

    fn request(&self, method: &str, via: &str, tagged: bool) -> String {
        let target = match (method, self.end) {
            ("ACK" | "BYE", End::Talk(..)) => &self.contact,
            _ => &self.target,
        };
        let cseq = self.cseq + u32::from(method == "BYE");
        let mut text = format!(
            "{method} {target} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\n{}\r\n{}",
            self.from_line, self.to_line
        );
        // Writing to a String cannot fail.
        if tagged {
            let _ = write!(text, ";tag={}", self.to_tag);
        }
        let _ = write!(
            text,
            "\r\n{}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
            self.call_id
        );
        text
    }

    /// From and To change places.
    fn bye_by_callee(&self) -> String {
        let value = |line: &str| line.split_once(':').map_or("", |(_, value)| value).to_owned();
        let host = super::invite::host(self.from.address.ip());
        format!(
            "BYE sip:{host}:{} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK{}bye\r\n\
             Max-Forwards: 70\r\nFrom:{};tag={}\r\nTo:{}\r\n{}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            self.from.address.port(),
            self.to_tag,
            value(&self.to_line),
            self.to_tag,
            value(&self.from_line),
            self.call_id,
        )
    }

    fn answer_to_bye(&self) -> String {
        format!(
            "SIP/2.0 200 OK\r\n{}\r\n{}\r\n{};tag={}\r\n{}\r\nCSeq: {} BYE\r\nContent-Length: 0\r\n\r\n",
            self.other_via("b"),
            self.from_line,
            self.to_line,
            self.to_tag,
            self.call_id,
            self.cseq + 1
        )
    }
}

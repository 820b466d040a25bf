//! One INVITE from what a call is to be.

use std::net::IpAddr;

use super::{
    call::{Shown, Spec},
    passport::Passports,
    random::{Stream, chance, pick},
    template::{Field, Values},
    world::{Endpoint, TRUNKS, TrunkKind, World, written},
};
use crate::{isup, time::Timestamp};
use rand::RngExt as _;

/// Where calls go to: the operator's edge.
pub(super) const EDGE: [u8; 4] = [198, 51, 100, 1];
const EDGE_NAME: &str = "edge.example.net";

/// Writes INVITEs; keeps what they are made in.
#[derive(Debug)]
pub(super) struct Writer {
    values: Values,
    passports: Passports,
    head: String,
    body: String,
}

impl Writer {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            values: Values::new(),
            passports: Passports::new(seed),
            head: String::new(),
            body: String::new(),
        }
    }

    /// The INVITE of a call at a time.
    pub(super) fn write(
        &mut self,
        world: &World,
        spec: &Spec,
        now: Timestamp,
        random: &mut Stream,
    ) -> Vec<u8> {
        let from = &spec.from;
        let style = &world.styles[from.style];
        self.values.clear();
        addresses(&mut self.values, from, random);
        identity(&mut self.values, world, spec, random);
        times(&mut self.values, from, now, random);
        if let Some(sign) = &spec.sign
            && style.invite.asks(Field::Identity)
        {
            let identity = self.passports.identity(sign, spec.actor, now);
            self.values.set(Field::Identity, format_args!("{identity}"));
        }
        for (field, template) in [
            (Field::Branch, &style.branch),
            (Field::Tag, &style.tag),
            (Field::CallId, &style.call_id),
            (Field::Cseq, &style.cseq),
        ] {
            self.head.clear();
            template.render(&self.values, random, &mut self.head);
            self.values.set(field, format_args!("{}", self.head));
        }
        self.body.clear();
        if !spec.no_offer {
            let offer = &style.sdp[from.offer as usize % style.sdp.len()];
            offer.render(&self.values, random, &mut self.body);
        }
        let body = self.with_isup(spec);
        self.values.set(Field::Length, format_args!("{}", body.len()));
        self.head.clear();
        style.invite.render(&self.values, random, &mut self.head);
        if from.relayed {
            relay(&mut self.head, from, random);
        }
        let mut message = Vec::with_capacity(self.head.len() + 2 + body.len());
        message.extend_from_slice(self.head.as_bytes());
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&body);
        message
    }

    /// The offer, with an IAM beside it where the call carries one.
    fn with_isup(&mut self, spec: &Spec) -> Vec<u8> {
        if self.body.is_empty() {
            return Vec::new();
        }
        if !spec.isup {
            self.values.set(Field::Ctype, format_args!("application/sdp"));
            return self.body.clone().into_bytes();
        }
        let number = |digits, presentation, screening| isup::build::Number {
            digits,
            nature: 4,
            presentation,
            screening,
        };
        let hidden = u8::from(spec.shown != Shown::Number);
        let network = spec.network.as_deref().unwrap_or(&spec.caller);
        let digits = network.bytes().all(|b| b.is_ascii_digit());
        let calling = digits.then(|| number(network, hidden, 3));
        let generic = (spec.caller != network && spec.shown == Shown::Number)
            .then(|| number(&spec.caller, 0, 0));
        let iam = isup::build::iam(
            &number(&spec.callee, 0, 0),
            calling.as_ref(),
            generic.as_ref(),
            spec.forward.is_some(),
            20,
        );
        let mark = "unique-boundary-1";
        self.values.set(Field::Ctype, format_args!("multipart/mixed;boundary={mark}"));
        let mut body = format!(
            "--{mark}\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--{mark}\r\n\
             Content-Type: application/isup;version=itu-t92+;base=itu-t92+\r\n\
             Content-Disposition: signal;handling=optional\r\n\r\n",
            self.body
        )
        .into_bytes();
        body.extend_from_slice(&iam);
        body.extend_from_slice(format!("\r\n--{mark}--\r\n").as_bytes());
        body
    }
}

/// An address as a URI has it.
pub(super) fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn addresses(values: &mut Values, from: &Endpoint, random: &mut Stream) {
    let address = from.address.ip();
    values.set(Field::Src, format_args!("{}", host(address)));
    values.set(Field::Nat, format_args!("{}", host(from.nat)));
    values.set(Field::Port, format_args!("{}", from.address.port()));
    let media = match (TRUNKS[from.trunk].kind, address) {
        // Carriers' media gateways stand beside their border controllers.
        (TrunkKind::National | TrunkKind::Mobile | TrunkKind::International, IpAddr::V4(v4)) => {
            let [a, b, c, d] = v4.octets();
            IpAddr::from([a, b, c, if d % 4 == 3 { d } else { d.saturating_add(4) }])
        }
        // A relay may carry the media, or leave it to the ends.
        _ if from.relayed && from.agent & 1 == 0 => from.nat,
        _ => address,
    };
    values.set(Field::Ipv, format_args!("{}", if media.is_ipv6() { "IP6" } else { "IP4" }));
    values.set(Field::Media, format_args!("{media}"));
    let rtp = 10_000 + 2 * random.random_range(0..15_000u32);
    values.set(Field::Rtp, format_args!("{rtp}"));
    values.set(Field::Rtp1, format_args!("{}", rtp + 1));
    values.set(Field::Rtp2, format_args!("{}", rtp + 2));
}

fn identity(values: &mut Values, world: &World, spec: &Spec, random: &mut Stream) {
    let from = &spec.from;
    let style = &world.styles[from.style];
    let trunk = &TRUNKS[from.trunk];
    let carrier = !trunk.domain.is_empty() && !from.relayed;
    let domain = if carrier || (from.relayed && from.agent % 5 < 2) {
        trunk.domain.to_owned()
    } else {
        host(if from.agent % 4 == 1 { from.nat } else { from.address.ip() })
    };
    let user = written(&spec.caller, from.form);
    match spec.shown {
        Shown::Anonymous => {
            values.set(Field::User, format_args!("anonymous"));
            values.set(Field::Domain, format_args!("anonymous.invalid"));
            values.set(Field::Display, format_args!("\"Anonymous\" "));
        }
        Shown::Number | Shown::Restricted => {
            values.set(Field::User, format_args!("{user}"));
            values.set(Field::Domain, format_args!("{domain}"));
            match &spec.display {
                Some(name) => values.set(Field::Display, format_args!("\"{name}\" ")),
                // Some stacks always repeat the number.
                None if from.agent % 7 == 2 => {
                    values.set(Field::Display, format_args!("\"{user}\" "));
                }
                None => {}
            }
        }
    }
    let host_name = !from.agent.is_multiple_of(3);
    if host_name {
        values.set(Field::Host, format_args!("{EDGE_NAME}"));
    } else {
        let [a, b, c, d] = EDGE;
        values.set(Field::Host, format_args!("{a}.{b}.{c}.{d}"));
    }
    // What a scanner dials is written as it is.
    let callee =
        if spec.refused { spec.callee.clone() } else { written(&spec.callee, from.callee_form) };
    values.set(Field::Callee, format_args!("{callee}"));
    if let Some(network) = &spec.network {
        let number = written(network, from.form);
        let hidden = spec.shown != Shown::Number;
        let rpid = style.invite.asks(Field::Rpid)
            && (from.agent % 3 == 1 || !style.invite.asks(Field::Pai));
        if rpid {
            let privacy = if hidden { "full" } else { "off" };
            let screen = if from.agent.is_multiple_of(5) { "no" } else { "yes" };
            values.set(
                Field::Rpid,
                format_args!(
                    "<sip:{number}@{domain}>;party=calling;screen={screen};privacy={privacy}"
                ),
            );
        } else if matches!(trunk.kind, TrunkKind::Mobile) && chance(random, 0.4) {
            values.set(
                Field::Pai,
                format_args!("<sip:{number}@{domain};user=phone>, <tel:{number}>"),
            );
        } else if from.agent % 11 == 3 {
            values.set(Field::Pai, format_args!("<tel:{number}>"));
        } else {
            values.set(Field::Pai, format_args!("<sip:{number}@{domain};user=phone>"));
        }
    }
    if spec.shown != Shown::Number {
        let privacy = pick(random, &["id", "id", "id", "id;critical", "user;id", "header;user;id"]);
        values.set(Field::Privacy, format_args!("{privacy}"));
    }
    if let Some(forward) = &spec.forward {
        let by = written(&forward.number, from.form);
        values.set(
            Field::Diversion,
            format_args!(
                "<sip:{by}@{domain};user=phone>;reason={};counter=1;privacy=off",
                forward.reason
            ),
        );
        if !style.invite.asks(Field::Diversion) || from.agent.is_multiple_of(4) {
            let cause = match forward.reason {
                "user-busy" => 486,
                "no-answer" => 408,
                _ => 302,
            };
            values.set(
                Field::History,
                format_args!(
                    "<sip:{by}@{domain}>;index=1,<sip:{callee}@{EDGE_NAME};cause={cause}>;index=1.1"
                ),
            );
        }
    }
    if !spec.category.is_empty() {
        values.set(Field::Cpc, format_args!(";cpc={}", spec.category));
    } else if from.agent.is_multiple_of(3) {
        values.set(Field::Cpc, format_args!(";cpc=ordinary"));
    }
    if trunk.kind == TrunkKind::Mobile && chance(random, 0.7) {
        let cell: u32 = random.random_range(0..0x0fff_ffff);
        values.set(
            Field::Access,
            format_args!("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=23415{cell:011x}"),
        );
    }
    if from.agent % 13 == 4 && trunk.kind == TrunkKind::Enterprise {
        values.set(Field::Ppi, format_args!("<sip:{user}@{domain}>"));
    }
    let agents = &style.agents;
    if !agents.is_empty() {
        values.set(Field::Agent, format_args!("{}", agents[from.agent as usize % agents.len()]));
    }
}

/// Seconds from 1900 to 1970.
const NTP: u64 = 2_208_988_800;

fn times(values: &mut Values, from: &Endpoint, now: Timestamp, random: &mut Stream) {
    // Few clocks are wrong, those by much.
    let skew = match from.agent % 41 {
        0 => 3_600,
        1 => 247,
        2 => 86_400 * 3,
        _ => from.agent % 3,
    };
    let unix = now.0 / 1_000_000_000 - u64::from(skew);
    values.set(Field::Unix, format_args!("{unix}"));
    values.set(Field::Ntp, format_args!("{}", unix + NTP));
    values.set(Field::Sess, format_args!("{unix}"));
    values.set(Field::Sess1, format_args!("{}", unix + random.random_range(1..3u64)));
    if let Ok(date) = jiff::Timestamp::from_second(unix as i64) {
        values.set(Field::Date, format_args!("{}", date.strftime("%a, %d %b %Y %H:%M:%S GMT")));
    }
}

/// What Kamailio adds when it passes an INVITE on.
fn relay(head: &mut String, from: &Endpoint, random: &mut Stream) {
    let own = host(from.address.ip());
    let (id, index) = (random.random::<u128>(), random.random::<u16>());
    let added = format!(
        "Record-Route: <sip:{own};lr>\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{index:04x}.{id:032x}.0\r\n"
    );
    let first = head.find("\r\n").map_or(0, |at| at + 2);
    let seen = from.nat.to_string().len() as u32 * 7 % 200;
    if let Some(at) = head.find(";rport") {
        head.replace_range(at..at + 6, &format!(";received=198.19.7.{};rport=5060", seen + 1));
    }
    head.insert_str(first, &added);
}

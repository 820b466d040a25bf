//! Trunks and what stands behind them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand::RngExt as _;

use super::{
    numbers::Numbers,
    random::{Stream, chance, hash, pick},
    style::{self, PortKind, Style},
};

/// Who is on the other side of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrunkKind {
    National,
    Mobile,
    International,
    /// Resellers of VoIP and hosted diallers.
    Voip,
    /// Businesses whose PBX calls over a trunk of its own.
    Enterprise,
    /// No trunk at all.
    Internet,
}

/// One trunk.
#[derive(Debug)]
pub(super) struct Trunk {
    pub(super) name: &'static str,
    pub(super) kind: TrunkKind,
    /// Its border controllers' stack; empty where the stacks behind it show through.
    stack: &'static str,
    /// First address and how many there are.
    address: [u8; 4],
    addresses: u32,
    /// Routers between it and us.
    hops: u8,
    pub(super) domain: &'static str,
    /// Share of calls on which a number is asserted.
    pub(super) asserts: f64,
    /// Share of calls that are signed.
    pub(super) signs: f64,
    /// Share of calls that carry ISUP.
    pub(super) isup: f64,
    /// Over IPv6.
    v6: bool,
    weight: f64,
}

macro_rules! trunks {
    ($($name:literal $kind:ident $stack:literal $address:expr, $count:literal, hops $hops:literal,
       $domain:literal, asserts $asserts:literal, signs $signs:literal, isup $isup:literal, v6 $v6:literal,
       weight $weight:literal;)+) => {
        /// All trunks. Addresses are those kept for documentation (RFC 5737) and for
        /// benchmarks (RFC 2544).
        pub(super) const TRUNKS: &[Trunk] = &[$(Trunk {
            name: $name, kind: TrunkKind::$kind, stack: $stack, address: $address, addresses: $count,
            hops: $hops, domain: $domain, asserts: $asserts, signs: $signs, isup: $isup, v6: $v6,
            weight: $weight,
        },)+];
    };
}

trunks! {
    "alpha-national" National "ribbon" [192, 0, 2, 8], 4, hops 4, "alpha.example.net", asserts 0.99, signs 0.30, isup 0.25, v6 false, weight 3.0;
    "bravo-national" National "oracle" [192, 0, 2, 24], 2, hops 3, "bravo.example.net", asserts 0.98, signs 0.45, isup 0.0, v6 false, weight 2.0;
    "foxtrot-cable" National "metaswitch" [192, 0, 2, 40], 2, hops 5, "foxtrot.example.net", asserts 0.97, signs 0.10, isup 0.0, v6 false, weight 1.5;
    "papa-national" National "huawei" [192, 0, 2, 56], 2, hops 6, "papa.example.net", asserts 0.95, signs 0.0, isup 0.0, v6 false, weight 1.0;
    "charlie-mobile" Mobile "ericsson" [192, 0, 2, 72], 4, hops 3, "ims.mnc015.mcc234.3gppnetwork.org", asserts 0.99, signs 0.50, isup 0.0, v6 false, weight 3.0;
    "delta-mobile" Mobile "nokia" [192, 0, 2, 88], 4, hops 4, "ims.mnc033.mcc234.3gppnetwork.org", asserts 0.99, signs 0.25, isup 0.0, v6 true, weight 2.0;
    "echo-mobile" Mobile "huawei" [192, 0, 2, 104], 2, hops 5, "ims.mnc020.mcc234.3gppnetwork.org", asserts 0.98, signs 0.10, isup 0.0, v6 false, weight 2.0;
    "golf-transit" International "audiocodes" [192, 0, 2, 120], 3, hops 9, "golf.example.com", asserts 0.75, signs 0.08, isup 0.0, v6 false, weight 1.5;
    "hotel-transit" International "cisco" [192, 0, 2, 136], 3, hops 11, "hotel.example.com", asserts 0.65, signs 0.02, isup 0.0, v6 false, weight 1.5;
    "india-transit" International "ribbon" [192, 0, 2, 152], 2, hops 10, "india.example.com", asserts 0.85, signs 0.05, isup 0.30, v6 false, weight 1.5;
    "juliet-transit" International "oracle" [192, 0, 2, 168], 2, hops 12, "juliet.example.com", asserts 0.80, signs 0.15, isup 0.0, v6 false, weight 1.5;
    "kilo-voip" Voip "" [198, 51, 100, 16], 3, hops 7, "kilo.example.org", asserts 0.80, signs 0.15, isup 0.0, v6 false, weight 2.0;
    "lima-voip" Voip "" [198, 51, 100, 48], 3, hops 8, "lima.example.org", asserts 0.55, signs 0.05, isup 0.0, v6 false, weight 1.5;
    "mike-cpaas" Voip "twilio" [198, 51, 100, 80], 6, hops 13, "mike.example.org", asserts 0.60, signs 0.40, isup 0.0, v6 false, weight 1.5;
    "november-ucaas" Voip "freeswitch" [198, 51, 100, 112], 4, hops 9, "november.example.org", asserts 0.75, signs 0.10, isup 0.0, v6 true, weight 1.0;
    "enterprise" Enterprise "" [198, 18, 0, 1], 32768, hops 6, "", asserts 0.45, signs 0.0, isup 0.0, v6 false, weight 1.0;
    "internet" Internet "" [203, 0, 113, 1], 250, hops 14, "", asserts 0.0, signs 0.0, isup 0.0, v6 false, weight 1.0;
}

/// Stacks behind resellers, and how common.
const BEHIND: &[&str] = &[
    "asterisk",
    "asterisk",
    "asterisk",
    "asterisk-chan-sip",
    "asterisk-chan-sip",
    "freeswitch",
    "freeswitch",
    "yeastar",
    "threecx",
    "threecx",
    "pjsip",
    "pjsip",
    "linphone",
    "zoiper",
    "grandstream",
    "sipp",
];

/// Stacks of businesses.
const BUSINESS: &[&str] = &[
    "asterisk",
    "asterisk",
    "asterisk-chan-sip",
    "freeswitch",
    "yeastar",
    "threecx",
    "threecx",
    "cisco",
    "cisco",
    "teams",
    "teams",
    "avaya",
    "avaya",
    "audiocodes",
    "grandstream",
];

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `+441632960001`.
    Plus,
    /// `441632960001`.
    Plain,
    /// `01632960001`, foreign ones with 00.
    National,
}

/// A place calls come from: a stack with its habits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) trunk: usize,
    pub(super) style: usize,
    pub(super) address: SocketAddr,
    /// What it believes its address to be.
    pub(super) nat: IpAddr,
    pub(super) ttl: u8,
    /// Which version it is.
    pub(super) agent: u32,
    /// Which of its offers it makes.
    pub(super) offer: u32,
    pub(super) form: Form,
    /// How callees are written to us.
    pub(super) callee_form: Form,
    /// A proxy stands before it.
    pub(super) relayed: bool,
}

/// All there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) numbers: Numbers,
    pub(super) styles: Vec<Style>,
    /// Styles that are not used, by place.
    without: Vec<bool>,
    /// Share of endpoints that change version and offer a day.
    drift: f64,
}

impl World {
    /// # Errors
    /// A text: a stack in `without` that is not known, or a style that is wrong.
    pub(super) fn new(
        seed: u64,
        without: &[String],
        drift: f64,
        drama: bool,
    ) -> Result<Self, String> {
        let styles = style::load()?;
        let mut left_out = vec![false; styles.len()];
        for name in without {
            let place = style::index(name).ok_or_else(|| {
                let known: Vec<_> = style::names().collect();
                format!("there is no stack {name}; there are {}", known.join(", "))
            })?;
            left_out[place] = true;
        }
        Ok(Self { seed, numbers: Numbers::new(seed, drama), styles, without: left_out, drift })
    }

    /// A trunk of a kind, as often as they carry calls.
    pub(super) fn trunk(&self, kind: TrunkKind, random: &mut Stream) -> usize {
        let usable = |trunk: &&Trunk| {
            trunk.kind == kind && !style::index(trunk.stack).is_some_and(|i| self.without[i])
        };
        let total: f64 = TRUNKS.iter().filter(usable).map(|trunk| trunk.weight).sum();
        let mut at = random.random::<f64>() * total;
        for (i, trunk) in TRUNKS.iter().enumerate().filter(|(_, trunk)| usable(trunk)) {
            at -= trunk.weight;
            if at < 0.0 {
                return i;
            }
        }
        // All of the kind are left out: the first, whatever it is.
        TRUNKS.iter().position(|trunk| trunk.kind == kind).unwrap_or(0)
    }

    /// The endpoint called `id` on a trunk, `days` after the start.
    pub(super) fn endpoint(&self, trunk: usize, id: u64, days: f64) -> Endpoint {
        let style = match TRUNKS[trunk].kind {
            TrunkKind::Voip if TRUNKS[trunk].stack.is_empty() => self.choose(BEHIND, id),
            TrunkKind::Enterprise => self.choose(BUSINESS, id),
            TrunkKind::Internet => self.choose(&["friendly-scanner"], id),
            _ => style::index(TRUNKS[trunk].stack).unwrap_or(0),
        };
        self.endpoint_with(trunk, style, id, days)
    }

    /// The same with a stack of one's own choice.
    pub(super) fn endpoint_with(&self, trunk: usize, style: usize, id: u64, days: f64) -> Endpoint {
        let about = &TRUNKS[trunk];
        let behind = self.styles[style].name != about.stack;
        let gateway = match about.kind {
            // Each business has its own address, a carrier a few.
            TrunkKind::Enterprise | TrunkKind::Internet => hash(self.seed, 0x6164_6472, id),
            _ => hash(self.seed, 0x6761_7465, id) % 64,
        } % u64::from(about.addresses);
        // A carrier's gateways are alike; what stands behind a proxy is its own.
        let own = if behind { id } else { gateway };
        let of = |purpose: u64| hash(self.seed, purpose ^ (trunk as u64) << 32, own);
        // Versions move on: each endpoint at its own times.
        let changes = (of(1) % 1_000) as f64 / 1_000.0 + days * self.drift;
        let offer = hash(self.seed, 0x6f66_6672, own ^ (changes as u64) << 48);
        let address = if about.v6 {
            Ipv6Addr::new(0x2001, 0xdb8, trunk as u16, 0, 0, 0, 0, 0x10 + gateway as u16).into()
        } else {
            let first = u32::from(Ipv4Addr::from(about.address));
            IpAddr::V4(Ipv4Addr::from(first + gateway as u32))
        };
        let style_of = &self.styles[style];
        let relayed = about.stack.is_empty() && about.kind == TrunkKind::Voip;
        let port = match style_of.port {
            PortKind::Ephemeral if !relayed => 1_024 + (of(3) % 64_000) as u16,
            _ => 5060,
        };
        // Half of what stands behind a proxy, and some offices, know only a private address.
        let private = match about.kind {
            TrunkKind::Voip if relayed => of(4) % 100 < 55,
            TrunkKind::Enterprise => of(4) % 100 < 18,
            TrunkKind::Internet => of(4) % 100 < 40,
            _ => false,
        };
        let nat = if private {
            let [.., b, c, d] = of(5).to_be_bytes();
            match of(6) % 3 {
                0 => Ipv4Addr::new(10, b, c, d.max(1)),
                1 => Ipv4Addr::new(172, 16 + b % 16, c, d.max(1)),
                _ => Ipv4Addr::new(192, 168, c % 4, d.max(1)),
            }
            .into()
        } else if relayed {
            Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 19, 0, 1)) + (of(7) % 60_000) as u32).into()
        } else {
            address
        };
        let form = match about.kind {
            TrunkKind::National | TrunkKind::Mobile => Form::Plus,
            TrunkKind::International if of(8) % 100 < 85 => Form::Plus,
            TrunkKind::International => Form::Plain,
            _ => match of(8) % 100 {
                0..55 => Form::Plus,
                55..75 => Form::Plain,
                _ => Form::National,
            },
        };
        let callee_form = match of(9) % 100 {
            0..80 => Form::Plus,
            80..90 => Form::Plain,
            _ => Form::National,
        };
        Endpoint {
            trunk,
            style,
            address: SocketAddr::new(address, port),
            nat,
            ttl: style_of.ttl.saturating_sub(about.hops + (gateway % 2) as u8),
            agent: (of(10) as u32).wrapping_add(changes as u32),
            offer: offer as u32,
            form,
            callee_form,
            relayed,
        }
    }

    /// One of the stacks by an endpoint's name; not one that is left out.
    pub(super) fn choose(&self, stacks: &[&str], id: u64) -> usize {
        let place = |step: u64| {
            let hash = hash(self.seed, 0x7374_616b + step, id);
            style::index(stacks[(hash % stacks.len() as u64) as usize]).unwrap_or(0)
        };
        (0..32).map(place).find(|style| !self.without[*style]).unwrap_or_else(|| place(0))
    }

    /// Somewhere a fraudster gets in: through resellers, abroad, rarely nearer.
    pub(super) fn entry(&self, random: &mut Stream, days: f64) -> Endpoint {
        let kind = match random.random_range(0..100) {
            0..48 => TrunkKind::Voip,
            48..80 => TrunkKind::International,
            80..90 => TrunkKind::National,
            _ => TrunkKind::Enterprise,
        };
        let trunk = self.trunk(kind, random);
        self.endpoint(trunk, random.random(), days)
    }
}

/// Digits as an endpoint writes them.
pub(super) fn written(digits: &str, form: Form) -> String {
    // Extensions, service numbers and names are written as they are.
    if digits.len() < 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return digits.to_owned();
    }
    match form {
        Form::Plus => format!("+{digits}"),
        Form::Plain => digits.to_owned(),
        Form::National => match digits.strip_prefix("44") {
            Some(national) => format!("0{national}"),
            None => format!("00{digits}"),
        },
    }
}

/// First and last names, trades: what stands in display names.
const FIRST: &[&str] = &[
    "James", "Olivia", "Mohammed", "Amelia", "George", "Isla", "Harry", "Ava", "Oliver", "Priya",
    "Jack", "Sophie", "Tomasz", "Grace", "Liam", "Chloe", "Andrei", "Emily", "Kwame", "Zoe",
];
const LAST: &[&str] = &[
    "Smith", "Jones", "Khan", "Williams", "Brown", "Patel", "Taylor", "Davies", "Kowalski",
    "Evans", "Wilson", "Ali", "Roberts", "Johnson", "Okafor", "Walker", "Wright", "Popescu",
    "Green", "Hall",
];
const TRADES: &[&str] = &[
    "Dental Practice",
    "Plumbing Ltd",
    "Surgery",
    "Estates",
    "Garage",
    "Solicitors",
    "Council",
    "Housing",
    "Energy",
    "Couriers",
    "Travel",
    "Academy",
    "Care Home",
    "Insurance",
    "Motors",
    "Bank",
];

/// A display name: of a person or a firm.
pub(super) fn display(random: &mut Stream, firm: bool) -> String {
    if firm {
        format!("{} {}", pick(random, LAST), pick(random, TRADES))
    } else if chance(random, 0.3) {
        format!("{} {}", pick(random, LAST).to_uppercase(), pick(random, FIRST).to_uppercase())
    } else {
        format!("{} {}", pick(random, FIRST), pick(random, LAST))
    }
}

impl Trunk {
    /// How an operator writes it in the configuration; the Internet is no trunk.
    pub(super) fn configured(&self) -> Option<String> {
        if self.kind == TrunkKind::Internet {
            return None;
        }
        let [a, b, c, d] = self.address;
        let networks = if self.v6 {
            let place = TRUNKS.iter().position(|trunk| trunk.name == self.name)?;
            format!("2001:db8:{place:x}::/48")
        } else if self.addresses > 256 {
            format!("{a}.{b}.0.0/16")
        } else {
            let all: Vec<_> =
                (0..self.addresses as u8).map(|i| format!("{a}.{b}.{c}.{}/32", d + i)).collect();
            all.join(",")
        };
        let countries = if self.kind == TrunkKind::International { "" } else { " 44" };
        Some(format!("{} {networks}{countries}", self.name))
    }
}

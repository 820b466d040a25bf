//! What of a call speaks for who is behind it: a token a kind, as hashes.
//!
//! Kinds stand in chains: a stack is told at its source, what stands behind it at its
//! stack, and so on. A token is judged beside the one it hangs on, so that what a whole
//! border controller has in common counts once, and once only.

use super::{Evidence, KINDS, Kind, token::Token};
use crate::{
    features::{Call, Traits},
    number::Number,
    sip::HeaderName,
};

impl Evidence {
    /// Of a call.
    pub fn of(call: &Call<'_>, traits: &Traits<'_>) -> Self {
        let (parts, meta) = (&call.parts, call.meta);
        let source = Token::of(Kind::Source).address(meta.source.ip()).end();
        let uri = parts.request_uri;
        let stack = Token::of(Kind::Stack)
            .word(source)
            .bytes(traits.agent_text)
            .word(
                u64::from(traits.branch)
                    | u64::from(traits.call_id) << 8
                    | u64::from(traits.tag) << 16
                    | u64::from(meta.transport as u8) << 24
                    | u64::from(traits.allow) << 32
                    | u64::from(traits.supported) << 48,
            )
            .word(traits.codecs)
            .word(traits.shape)
            // How it names us, and how it writes numbers.
            .bytes(uri.map_or(&[], |uri| uri.host))
            .word(u64::from(form(parts.callee_user())))
            .end();
        let own = meta.source.ip();
        let contact = parts.contact.map_or(&[][..], |contact| contact.uri.host);
        let behind = [(contact, parts.contact_address), traits.last_via, traits.origin];
        let mut origin = Token::of(Kind::Origin).word(stack);
        for (host, address) in behind {
            let known = host.is_empty() || address == Some(own);
            origin = origin.bytes(if known { b"" } else { host });
        }
        let about = &call.caller_about;
        let withheld = parts.withheld();
        let manner = Token::of(Kind::Manner)
            .word(
                u64::from(withheld)
                    | u64::from(parts.network.is_none() && withheld) << 1
                    | u64::from(is_neighbour(call)) << 2
                    | u64::from(
                        call.message.has(HeaderName::Diversion)
                            || call.message.has(HeaderName::HistoryInfo),
                    ) << 3
                    | u64::from(about.high_cost()) << 4
                    | u64::from(about.planned.valid == Some(false)) << 5
                    | u64::from(about.marks.protected() || about.marks.do_not_originate()) << 6
                    | u64::from(call.callee_about.high_cost()) << 7
                    | u64::from(call.stir.attest.unwrap_or(0)) << 8
                    | u64::from(call.stir.orig_matches == Some(false)) << 16
                    | u64::from(call.stir.valid == Some(false)) << 17
                    | u64::from(call.stir.expired == Some(true)) << 18,
            )
            .end();
        // One space of numbers: shown today, asserted tomorrow.
        let number = |n: &Number| Token::of(Kind::Network).word(n.packed()).end();
        // But a bank's number is shown by whoever wants to be taken for the bank: it names
        // nobody, and says something of calls that are signalled alike only.
        let marks = about.marks;
        let fake = parts.caller().filter(|_| marks.protected() || marks.do_not_originate());
        let network = parts.network.filter(|n| fake != Some(*n)).as_ref().map_or(0, number);
        let shown = match (&fake, &parts.shown) {
            (Some(fake), _) => Token::of(Kind::Shown).word(stack).word(fake.packed()).end(),
            (None, shown) => shown.as_ref().map_or(0, number),
        };
        let user = parts.from_user();
        let shown = if shown == 0 && !parts.anonymous && !user.is_empty() {
            Token::of(Kind::Shown).word(source).bytes(user).end()
        } else {
            shown
        };
        let display = parts.from.and_then(|from| from.display).unwrap_or_default();
        let told = !withheld && display.iter().any(u8::is_ascii_alphabetic);
        let (range, callee) = if let Some(number) = &parts.callee {
            let digits = number.as_bytes();
            let range = &digits[..digits.len().saturating_sub(4)];
            (
                Token::of(Kind::CalleeRange).bytes(range).end(),
                Token::of(Kind::Callee).word(number.packed()).end(),
            )
        } else {
            let user = parts.callee_user();
            let callee = Token::of(Kind::Callee).bytes(user).end();
            (Token::of(Kind::CalleeRange).end(), if user.is_empty() { 0 } else { callee })
        };
        let mut tokens = [0; KINDS];
        tokens[Kind::Source as usize] = source;
        tokens[Kind::Stack as usize] = stack;
        tokens[Kind::Origin as usize] = origin.end();
        tokens[Kind::Manner as usize] = manner;
        tokens[Kind::Network as usize] = network;
        tokens[Kind::Shown as usize] = if shown == network { 0 } else { shown };
        tokens[Kind::Origid as usize] = if call.stir.origid == 0 {
            0
        } else {
            Token::of(Kind::Origid).word(call.stir.origid).end()
        };
        tokens[Kind::Country as usize] = match call.caller_about.country {
            0 => 0,
            code => Token::of(Kind::Country).word(source).word(u64::from(code)).end(),
        };
        tokens[Kind::Display as usize] =
            if told { Token::of(Kind::Display).bytes(display).end() } else { 0 };
        tokens[Kind::CalleeRange as usize] = range;
        tokens[Kind::Callee as usize] = callee;
        Self(tokens)
    }
}

impl Evidence {
    /// What a record of a call still tells of it: its source, numbers (the network's, the
    /// one shown, the one called), country and, by the same tokens as [`Self::of`], the
    /// accounts called. How it was signalled is told by its signature beside these.
    pub fn of_record(
        source: std::net::IpAddr,
        [network, shown, callee]: [Option<&str>; 3],
        country: u16,
        withheld: bool,
        home: Option<u16>,
    ) -> Self {
        let parse = |user: Option<&str>| Number::parse(user?.as_bytes(), home);
        let source = Token::of(Kind::Source).address(source).end();
        // One space of numbers: shown today, asserted tomorrow.
        let token = |number: Option<Number>| {
            number.map_or(0, |number| Token::of(Kind::Network).word(number.packed()).end())
        };
        let network = token(parse(network));
        let user = shown.unwrap_or_default();
        let shown = match token(parse(shown)) {
            0 if !withheld && !user.is_empty() => {
                Token::of(Kind::Shown).word(source).bytes(user.as_bytes()).end()
            }
            token => token,
        };
        let mut tokens = [0; KINDS];
        tokens[Kind::Source as usize] = source;
        tokens[Kind::Network as usize] = network;
        tokens[Kind::Shown as usize] = if shown == network { 0 } else { shown };
        tokens[Kind::Country as usize] = match country {
            0 => 0,
            code => Token::of(Kind::Country).word(source).word(u64::from(code)).end(),
        };
        (tokens[Kind::CalleeRange as usize], tokens[Kind::Callee as usize]) =
            match (parse(callee), callee.unwrap_or_default()) {
                (Some(number), _) => {
                    let digits = number.as_bytes();
                    let range = &digits[..digits.len().saturating_sub(4)];
                    (
                        Token::of(Kind::CalleeRange).bytes(range).end(),
                        Token::of(Kind::Callee).word(number.packed()).end(),
                    )
                }
                (None, "") => (Token::of(Kind::CalleeRange).end(), 0),
                (None, user) => (
                    Token::of(Kind::CalleeRange).end(),
                    Token::of(Kind::Callee).bytes(user.as_bytes()).end(),
                ),
            };
        Self(tokens)
    }
}

/// How a user part begins: `+`, `00`, `0`, another digit, something else.
fn form(user: &[u8]) -> u8 {
    match user {
        [b'+', ..] => 1,
        [b'0', b'0', ..] => 2,
        [b'0', ..] => 3,
        [b'1'..=b'9', ..] => 4,
        _ => 5,
    }
}

/// Seven leading digits of the number shown are the callee's, and others are not.
fn is_neighbour(call: &Call<'_>) -> bool {
    let (Some(shown), Some(callee)) = (&call.parts.shown, &call.parts.callee) else { return false };
    let (shown, callee) = (shown.as_bytes(), callee.as_bytes());
    let alike = shown.iter().zip(callee).take_while(|(a, b)| a == b).count();
    alike >= 7 && shown != callee
}

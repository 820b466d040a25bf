//! What several groups of features look at, parsed once.

use std::net::IpAddr;

use crate::{
    capture::PacketMeta,
    env::{Env, Place},
    lists::Hits,
    number::{About, Number},
    sip::{HeaderName, Message, NameAddr, Scheme, Uri, Via, same},
    stir::Facts,
};

/// A call on its way through the features.
#[derive(Debug)]
pub struct Call<'a> {
    /// The INVITE.
    pub message: &'a Message<'a>,
    /// The headers below it.
    pub meta: &'a PacketMeta,
    /// What was read of it.
    pub parts: Parts<'a>,
    /// What the operator configured.
    pub env: &'a Env,
    /// Where the packet comes from.
    pub place: Place,
    /// What the number tables say of the caller, the one shown or the network's.
    pub caller_about: About,
    /// And of the callee.
    pub callee_about: About,
    /// Lists that name it.
    pub hits: Hits,
    /// What its Identity headers say.
    pub stir: Facts,
}

/// The INVITE's parts.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each on its own")]
pub struct Parts<'a> {
    /// From.
    pub from: Option<NameAddr<'a>>,
    /// To.
    pub to: Option<NameAddr<'a>>,
    /// Request-URI.
    pub request_uri: Option<Uri<'a>>,
    /// Contact.
    pub contact: Option<NameAddr<'a>>,
    /// Topmost Via.
    pub via: Option<Via<'a>>,
    /// Tag of From; empty when there is none.
    pub from_tag: &'a [u8],
    /// Branch of the topmost Via.
    pub branch: Option<&'a [u8]>,
    /// Number of CSeq.
    pub cseq: Option<u32>,
    /// Hosts of From, Contact and topmost Via that are addresses.
    pub from_address: Option<IpAddr>,
    /// See [`Self::from_address`].
    pub contact_address: Option<IpAddr>,
    /// See [`Self::from_address`].
    pub via_address: Option<IpAddr>,
    /// User the network asserts: P-Asserted-Identity, else Remote-Party-ID.
    pub network_user: Option<&'a [u8]>,
    /// P-Asserted-Identity values.
    pub asserted: usize,
    /// One is a tel URI.
    pub asserted_tel: bool,
    /// One is a sip or sips URI.
    pub asserted_sip: bool,
    /// Host of the first that has one.
    pub asserted_host: Option<&'a [u8]>,
    /// The first.
    pub asserted_uri: Option<Uri<'a>>,
    /// Number shown; `None` when it is withheld or no number.
    pub shown: Option<Number>,
    /// The network's number.
    pub network: Option<Number>,
    /// The number called.
    pub callee: Option<Number>,
    /// From shows nobody.
    pub anonymous: bool,
    /// Privacy asks to hide the identity.
    pub privacy: bool,
}

impl<'a> Parts<'a> {
    /// Reads them, but for To, which was read before; `home` is the country code of
    /// national numbers.
    pub fn of(message: &Message<'a>, to: Option<NameAddr<'a>>, home: Option<u16>) -> Self {
        let (from, request_uri) = (message.from(), message.request_uri());
        let user = |uri: Option<Uri<'a>>| uri.and_then(|uri| uri.user).filter(|u| !u.is_empty());
        let number = |user: &'a [u8]| Number::parse(user, home);
        let from_user = user(from.map(|from| from.uri));
        let anonymous = from_user.is_none_or(is_anonymous);
        let mut asserted = 0;
        let (mut asserted_tel, mut asserted_sip) = (false, false);
        let (mut asserted_host, mut asserted_uri) = (None, None);
        let mut network_user = None;
        for identity in message.asserted_identities() {
            asserted += 1;
            if identity.uri.scheme == Scheme::Tel {
                asserted_tel = true;
            } else {
                asserted_sip = true;
                asserted_host = asserted_host.or(Some(identity.uri.host));
            }
            asserted_uri = asserted_uri.or(Some(identity.uri));
            let user = user(Some(identity.uri)).filter(|user| !is_anonymous(user));
            // Of a sip and a tel URI the one that is a number counts.
            if network_user.is_none_or(|known| number(known).is_none()) {
                network_user = user.or(network_user);
            }
        }
        let network_user = network_user.or_else(|| {
            let party = message.values(HeaderName::RemotePartyId).next()?;
            user(Some(NameAddr::parse(party)?.uri)).filter(|user| !is_anonymous(user))
        });
        let (contact, via) = (message.contact(), message.top_via());
        // Mostly they are the same host.
        let known = via.map(|via| (via.host, address(via.host)));
        let address_of = |host: &[u8]| match known {
            Some((via, address)) if same(via, host) => address,
            _ => address(host),
        };
        Self {
            from,
            to,
            request_uri,
            contact,
            via,
            from_tag: from.and_then(|from| from.tag()).unwrap_or_default(),
            branch: via.and_then(|via| via.branch()),
            cseq: message.cseq().map(|(number, _)| number),
            from_address: from.and_then(|from| address_of(from.uri.host)),
            contact_address: contact.and_then(|contact| address_of(contact.uri.host)),
            via_address: known.and_then(|(_, address)| address),
            network_user,
            asserted,
            asserted_tel,
            asserted_sip,
            asserted_host,
            asserted_uri,
            shown: from_user.filter(|_| !anonymous).and_then(number),
            network: network_user.and_then(number),
            callee: user(request_uri).or_else(|| user(to.map(|to| to.uri))).and_then(number),
            anonymous,
            privacy: asks_privacy(message),
        }
    }

    /// User part of From; empty when there is none.
    pub fn from_user(&self) -> &'a [u8] {
        self.from.and_then(|from| from.uri.user_full).unwrap_or_default()
    }

    /// User part of To; empty when there is none.
    pub fn to_user(&self) -> &'a [u8] {
        self.to.and_then(|to| to.uri.user_full).unwrap_or_default()
    }

    /// User called: of the Request-URI, else of To.
    pub fn callee_user(&self) -> &'a [u8] {
        self.request_uri
            .and_then(|uri| uri.user)
            .filter(|user| !user.is_empty())
            .or_else(|| self.to.and_then(|to| to.uri.user))
            .unwrap_or_default()
    }

    /// The number shown, or the network's where none is.
    pub fn caller(&self) -> Option<Number> {
        self.shown.or(self.network)
    }

    /// Whether the number is not to be presented.
    pub fn withheld(&self) -> bool {
        self.anonymous || self.privacy
    }
}

/// RFC 3323 section 4.1.1.3, and what networks write beside it.
fn is_anonymous(user: &[u8]) -> bool {
    [&b"anonymous"[..], b"unknown", b"unavailable", b"restricted", b"private", b"withheld"]
        .iter()
        .any(|name| user.eq_ignore_ascii_case(name))
}

/// Privacy: id, user or header (RFC 3323, 3325), or a Remote-Party-ID that says so.
fn asks_privacy(message: &Message<'_>) -> bool {
    let hides = |value: &[u8]| {
        value.split(|b| matches!(b, b';' | b',')).any(|token| {
            let token = token.trim_ascii();
            [&b"id"[..], b"user", b"header"].iter().any(|t| token.eq_ignore_ascii_case(t))
        })
    };
    message.all(HeaderName::Privacy).any(hides)
        || message.values(HeaderName::RemotePartyId).filter_map(NameAddr::parse).any(|party| {
            let privacy = party.params.get(b"privacy").unwrap_or_default();
            privacy.eq_ignore_ascii_case(b"full") || privacy.eq_ignore_ascii_case(b"uri")
        })
}

/// A host that is an IP address.
pub(crate) fn address(host: &[u8]) -> Option<IpAddr> {
    // Names end with a letter, and addresses of IPv4 begin and end with a digit: told
    // by hand, since nearly every host is one or the other.
    match (host.first()?, host.last()?) {
        (b'0'..=b'9', b'0'..=b'9') if host.len() <= 15 => {
            dotted(host).map(Into::into).or_else(|| slow(host))
        }
        (first, _) if first.is_ascii_hexdigit() || *first == b':' => slow(host),
        _ => None,
    }
}

/// Four decimal numbers up to 255 without leading zeros (RFC 3986 section 3.2.2).
fn dotted(host: &[u8]) -> Option<[u8; 4]> {
    let (mut octets, mut at) = ([0; 4], 0);
    let (mut value, mut digits) = (0u16, 0);
    for byte in host {
        if *byte == b'.' {
            if digits == 0 || at == 3 {
                return None;
            }
            octets[at] = value as u8;
            (at, value, digits) = (at + 1, 0, 0);
            continue;
        }
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || (digits > 0 && value == 0) {
            return None;
        }
        value = value * 10 + u16::from(digit);
        digits += 1;
        if value > 255 {
            return None;
        }
    }
    octets[at] = value as u8;
    (at == 3 && digits > 0).then_some(octets)
}

/// IPv6, in all its forms.
fn slow(host: &[u8]) -> Option<IpAddr> {
    if !host.contains(&b':') {
        return None;
    }
    std::str::from_utf8(host).ok()?.parse().ok()
}

/// Private, shared and link-local ranges (RFC 1918, 6598, 3927, 4193, 4291).
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

pub(super) fn is_private_host(host: &[u8]) -> bool {
    address(host).is_some_and(is_private)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::address;

    proptest! {
        #[test]
        fn addresses_are_those_of_the_standard_library(
            host in "[0-9]{1,3}(\\.[0-9]{1,3}){2,4}|[0-9a-f:.]{0,24}|[a-z0-9.-]{0,20}",
        ) {
            prop_assert_eq!(address(host.as_bytes()), host.parse().ok(), "{}", host);
        }
    }
}

//! Header names: long and compact forms, compared without case.

use super::same;

macro_rules! names {
    ($($variant:ident $long:literal $($compact:literal)?),+ $(,)?) => {
        /// Header names that something here asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are the headers")]
        pub enum HeaderName {
            $($variant,)+
            /// Not in this list.
            Other,
        }

        impl HeaderName {
            /// How many there are, [`Self::Other`] included.
            pub const COUNT: usize = Self::Other as usize + 1;

            /// Canonical spelling; empty for [`Self::Other`].
            pub const fn long(self) -> &'static str {
                match self { $(Self::$variant => $long,)+ Self::Other => "" }
            }
        }

        const LONG: &[(&[u8], HeaderName)] = &[$(($long.as_bytes(), HeaderName::$variant)),+];

        /// Compact forms (RFC 3261 section 7.3.3 and the IANA registry).
        const COMPACT: [HeaderName; 26] = {
            let mut table = [HeaderName::Other; 26];
            $($(table[($compact - b'a') as usize] = HeaderName::$variant;)?)+
            table
        };
    };
}

names! {
    Via "Via" b'v', From "From" b'f', To "To" b't', CallId "Call-ID" b'i', CSeq "CSeq",
    Contact "Contact" b'm', MaxForwards "Max-Forwards", ContentType "Content-Type" b'c',
    ContentLength "Content-Length" b'l', ContentEncoding "Content-Encoding" b'e',
    ContentDisposition "Content-Disposition", RecordRoute "Record-Route", Route "Route",
    UserAgent "User-Agent", Server "Server", Allow "Allow", Supported "Supported" b'k',
    Require "Require", ProxyRequire "Proxy-Require", Unsupported "Unsupported", Accept "Accept",
    AcceptEncoding "Accept-Encoding", AcceptLanguage "Accept-Language",
    AcceptContact "Accept-Contact" b'a', RejectContact "Reject-Contact" b'j',
    RequestDisposition "Request-Disposition" b'd', SessionExpires "Session-Expires" b'x',
    MinSe "Min-SE", Expires "Expires", Date "Date", Timestamp "Timestamp", Subject "Subject" b's',
    Organization "Organization", Priority "Priority", Reason "Reason", Warning "Warning",
    PAssertedIdentity "P-Asserted-Identity", PPreferredIdentity "P-Preferred-Identity",
    RemotePartyId "Remote-Party-ID", Privacy "Privacy", Diversion "Diversion",
    HistoryInfo "History-Info", ReferredBy "Referred-By" b'b', ReferTo "Refer-To" b'r',
    Replaces "Replaces", Identity "Identity" b'y', IdentityInfo "Identity-Info" b'n',
    PChargingVector "P-Charging-Vector", PAccessNetworkInfo "P-Access-Network-Info",
    PEarlyMedia "P-Early-Media", PAssertedService "P-Asserted-Service",
    PPreferredService "P-Preferred-Service", PVisitedNetworkId "P-Visited-Network-ID",
    PCalledPartyId "P-Called-Party-ID", CallInfo "Call-Info", AlertInfo "Alert-Info",
    UserToUser "User-to-User", Geolocation "Geolocation", ResourcePriority "Resource-Priority",
    Authorization "Authorization", ProxyAuthorization "Proxy-Authorization",
    WwwAuthenticate "WWW-Authenticate", ProxyAuthenticate "Proxy-Authenticate",
    MimeVersion "MIME-Version", Event "Event" b'o', AllowEvents "Allow-Events" b'u',
    InReplyTo "In-Reply-To", ReplyTo "Reply-To", Path "Path", RAck "RAck", RSeq "RSeq",
    SecurityClient "Security-Client", SecurityVerify "Security-Verify",
}

/// Places of [`TABLE`], more than twice the names.
const PLACES: usize = 256;

/// Open addressing: indexes into [`LONG`] plus one, 0 where there is none.
static TABLE: [u8; PLACES] = {
    let mut table = [0; PLACES];
    let mut i = 0;
    while i < LONG.len() {
        let mut at = place(LONG[i].0);
        while table[at] != 0 {
            at = (at + 1) % PLACES;
        }
        i += 1;
        table[at] = i as u8;
    }
    table
};
const _: () = assert!(2 * LONG.len() < PLACES);

/// Where a name is looked for first: by its length, first, third and last letter,
/// without their case.
#[inline(always)]
const fn place(name: &[u8]) -> usize {
    let third = if name.len() > 2 { 2 } else { 0 };
    let letters = [name[0] | 0x20, name[third] | 0x20, name[name.len() - 1] | 0x20];
    (name.len() * 5
        + letters[0] as usize * 7
        + letters[1] as usize * 29
        + letters[2] as usize * 101)
        % PLACES
}

impl HeaderName {
    /// The name that `raw` spells.
    pub fn parse(raw: &[u8]) -> Self {
        Self::read(raw).0
    }

    /// The same, and whether it is spelt as its specification does; of compact forms and
    /// names that are not in the list, that is not said to be otherwise.
    #[inline]
    pub(super) fn read(raw: &[u8]) -> (Self, bool) {
        let &[first, ..] = raw else { return (Self::Other, true) };
        if raw.len() == 1 {
            let index = first.to_ascii_lowercase().wrapping_sub(b'a');
            return (COMPACT.get(usize::from(index)).copied().unwrap_or(Self::Other), true);
        }
        let mut at = place(raw);
        // There are free places, so this ends.
        while let Some((long, name)) = usize::from(TABLE[at]).checked_sub(1).map(|i| LONG[i]) {
            if same(long, raw) {
                return (name, true);
            }
            if long.eq_ignore_ascii_case(raw) {
                return (name, false);
            }
            at = (at + 1) % PLACES;
        }
        (Self::Other, true)
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderName, LONG};

    #[test]
    fn every_name_is_found_in_any_case() {
        for (long, name) in LONG {
            assert_eq!(HeaderName::parse(long), *name);
            assert_eq!(HeaderName::parse(&long.to_ascii_uppercase()), *name);
            assert_eq!(name.long().as_bytes(), *long);
        }
    }

    #[test]
    fn compact_and_unknown() {
        assert_eq!(HeaderName::parse(b"v"), HeaderName::Via);
        assert_eq!(HeaderName::parse(b"F"), HeaderName::From);
        assert_eq!(HeaderName::parse(b"y"), HeaderName::Identity);
        for other in [&b""[..], b"z", b"1", b"\xff", b"Froms", b"X-Anything-At-All-That-Is-Long"] {
            assert_eq!(HeaderName::parse(other), HeaderName::Other);
        }
    }
}

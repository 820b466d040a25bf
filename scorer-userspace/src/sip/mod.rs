//! A zero-copy view of a SIP message (RFC 3261) over borrowed bytes.
//!
//! Tolerant as real networks are, strict about bounds: whatever the bytes, no
//! panic, no allocation, time linear in their number.

use scorer_common::Scan;

/// Request methods (RFC 3261, 3262, 3265, 3311, 3428, 3515, 3903, 6086).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Subscribe,
    Notify,
    Publish,
    Info,
    Refer,
    Message,
    Update,
    /// Any other token.
    Other,
}

/// First line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// Request line.
    Request {
        /// Method.
        method: Method,
        /// Method as it stands.
        token: &'a [u8],
        /// Request-URI as it stands.
        uri: &'a [u8],
    },
    /// Status line.
    Status {
        /// Status code, 100–699.
        code: u16,
        /// Reason phrase.
        reason: &'a [u8],
    },
}

/// Header names that something here asks for; long and compact forms alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the headers")]
pub enum HeaderName {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    MaxForwards,
    ContentType,
    ContentLength,
    ContentEncoding,
    ContentDisposition,
    RecordRoute,
    Route,
    UserAgent,
    Server,
    Allow,
    Supported,
    Require,
    ProxyRequire,
    Unsupported,
    Accept,
    AcceptEncoding,
    AcceptLanguage,
    AcceptContact,
    RejectContact,
    RequestDisposition,
    SessionExpires,
    MinSe,
    Expires,
    Date,
    Timestamp,
    Subject,
    Organization,
    Priority,
    Reason,
    Warning,
    PAssertedIdentity,
    PPreferredIdentity,
    RemotePartyId,
    Privacy,
    Diversion,
    HistoryInfo,
    ReferredBy,
    ReferTo,
    Replaces,
    Identity,
    IdentityInfo,
    PChargingVector,
    PAccessNetworkInfo,
    PEarlyMedia,
    PAssertedService,
    PPreferredService,
    PVisitedNetworkId,
    PCalledPartyId,
    CallInfo,
    AlertInfo,
    UserToUser,
    Geolocation,
    ResourcePriority,
    Authorization,
    ProxyAuthorization,
    WwwAuthenticate,
    ProxyAuthenticate,
    MimeVersion,
    Event,
    AllowEvents,
    InReplyTo,
    ReplyTo,
    Path,
    RAck,
    RSeq,
    SecurityClient,
    SecurityVerify,
    /// Not in this list.
    Other,
}

/// One header line, unfolded only on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which header.
    pub name: HeaderName,
    /// Name as it stands, without blanks before the colon.
    pub raw_name: &'a [u8],
    /// Value without surrounding white space; a folded value keeps its line ends.
    pub value: &'a [u8],
}

/// Why bytes are not a SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// No request or status line.
    #[error("no SIP start line")]
    StartLine,
    /// More than [`Message::MAX_HEADERS`] header lines.
    #[error("more than {} header lines", Message::MAX_HEADERS)]
    TooManyHeaders,
    /// Longer than 65,535 bytes.
    #[error("longer than 65,535 bytes")]
    TooLong,
}

/// Room for the header table of one message; make one, use it for all.
#[derive(Debug)]
pub struct Scratch {}

impl Scratch {
    /// Empty scratch room.
    pub fn new() -> Self {
        Self {}
    }
}

/// A parsed message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Header lines in a message at most.
    pub const MAX_HEADERS: usize = 256;

    /// Indexes `bytes`. `scan` is the kernel's pass over the same bytes, if it made one.
    pub fn parse(
        _bytes: &'a [u8],
        _scan: Option<&Scan>,
        _scratch: &'a mut Scratch,
    ) -> Result<Self, ParseError> {
        todo!()
    }
    /// Start line.
    pub fn start(&self) -> &StartLine<'a> {
        todo!()
    }
    /// The pass over these bytes: fingerprint and line index.
    pub fn scan(&self) -> &Scan {
        todo!()
    }
    /// Whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// Header lines in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'a>> + '_ {
        [].into_iter()
    }
    /// First header of that name (a mask over names makes a miss cheap).
    pub fn header(&self, _name: HeaderName) -> Option<&'a [u8]> {
        todo!()
    }
    /// All headers of that name, one per line.
    pub fn all(&self, _name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        [].into_iter()
    }
    /// Lines of that name.
    pub fn count(&self, _name: HeaderName) -> usize {
        todo!()
    }
    /// Body: what follows the blank line, cut to Content-Length where that is shorter.
    pub fn body(&self) -> &'a [u8] {
        todo!()
    }
    /// Content-Length, where it is a number.
    pub fn content_length(&self) -> Option<u32> {
        todo!()
    }
    /// Call-ID.
    pub fn call_id(&self) -> Option<&'a [u8]> {
        todo!()
    }
    /// From.
    pub fn from(&self) -> Option<NameAddr<'a>> {
        todo!()
    }
    /// To.
    pub fn to(&self) -> Option<NameAddr<'a>> {
        todo!()
    }
    /// CSeq number and method.
    pub fn cseq(&self) -> Option<(u32, Method)> {
        todo!()
    }
    /// Topmost Via.
    pub fn top_via(&self) -> Option<Via<'a>> {
        todo!()
    }
    /// All Via values, also those that share a line.
    pub fn vias(&self) -> impl Iterator<Item = Via<'a>> + '_ {
        [].into_iter()
    }
    /// First Contact, unless it is `*`.
    pub fn contact(&self) -> Option<NameAddr<'a>> {
        todo!()
    }
    /// P-Asserted-Identity values (RFC 3325: a sip and a tel URI, on one line or two).
    pub fn asserted_identities(&self) -> impl Iterator<Item = NameAddr<'a>> + '_ {
        [].into_iter()
    }
    /// The request's URI.
    pub fn request_uri(&self) -> Option<Uri<'a>> {
        todo!()
    }
    /// SDP body, also inside a multipart body.
    pub fn sdp(&self) -> Option<Sdp<'a>> {
        todo!()
    }
}

/// A URI's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the schemes")]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Other,
}

/// A URI, its parts as they stand (RFC 3261 section 19.1, RFC 3966).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// All of it.
    pub raw: &'a [u8],
    /// Scheme.
    pub scheme: Scheme,
    /// User part without its parameters and password; the number of a tel URI. Escapes as they stand.
    pub user: Option<&'a [u8]>,
    /// Parameters in the user part (`;npdi;rn=…` before the @).
    pub user_params: Params<'a>,
    /// Host without brackets; empty for tel.
    pub host: &'a [u8],
    /// Port.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params<'a>,
}

impl<'a> Uri<'a> {
    /// Parses one URI; what is not sip, sips or tel has only `raw`.
    pub fn parse(_raw: &'a [u8]) -> Self {
        todo!()
    }
}

/// `;name=value` pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Params<'a>(pub &'a [u8]);

impl<'a> Params<'a> {
    /// Value of `name` (compared without case); empty for a flag.
    pub fn get(&self, _name: &[u8]) -> Option<&'a [u8]> {
        todo!()
    }
    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + 'a {
        [].into_iter()
    }
}

/// `"display" <uri>;params` or `uri;params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Display name, without quotes, escapes as they stand.
    pub display: Option<&'a [u8]>,
    /// URI.
    pub uri: Uri<'a>,
    /// Header parameters.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Parses one value.
    pub fn parse(_value: &'a [u8]) -> Option<Self> {
        todo!()
    }
    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get(b"tag")
    }
}

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, … as it stands.
    pub transport: &'a [u8],
    /// sent-by host, without brackets.
    pub host: &'a [u8],
    /// sent-by port.
    pub port: Option<u16>,
    /// Parameters: branch, received, rport, ….
    pub params: Params<'a>,
}

/// An SDP body (RFC 8866), read line by line on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdp<'a> {
    /// All of it.
    pub raw: &'a [u8],
}

impl<'a> Sdp<'a> {
    /// Lines as (type letter, value), in order; what is not `x=…` is left out.
    pub fn lines(&self) -> impl Iterator<Item = (u8, &'a [u8])> + 'a {
        [].into_iter()
    }
}

//! The one table of features.

use std::fmt::Write as _;

/// What a feature is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the groups")]
pub enum Group {
    Identity,
    Number,
    Header,
    Sdp,
    Transport,
    Stir,
    Behaviour,
}

impl Group {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Number => "number",
            Self::Header => "header",
            Self::Sdp => "sdp",
            Self::Transport => "transport",
            Self::Stir => "stir",
            Self::Behaviour => "behaviour",
        }
    }
}

/// How to read a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 0 or 1.
    Flag,
    /// A number of things, or a length in bytes or digits.
    Count,
    /// Between 0 and 1.
    Ratio,
    /// ln(1 + count).
    LogCount,
    /// Seconds.
    Seconds,
}

impl Kind {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Count => "count",
            Self::Ratio => "ratio",
            Self::LogCount => "log_count",
            Self::Seconds => "seconds",
        }
    }
}

/// One feature.
#[derive(Clone, Copy, Debug)]
pub struct FeatureDef {
    /// Index in a vector; stable.
    pub id: u16,
    /// snake_case name; stable.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// How to read it.
    pub kind: Kind,
    /// One line of documentation.
    pub doc: &'static str,
    /// Where the fact comes from.
    pub source: &'static str,
    /// What to tell an agent when it speaks for fraud.
    pub reason: &'static str,
}

macro_rules! registry {
    ($($group:ident { $($name:ident / $constant:ident: $kind:ident, $source:literal, $doc:literal, $reason:literal;)+ })+) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only numbers the constants")]
        #[repr(u16)]
        enum Index { $($($constant,)+)+ }

        /// Indexes of the features by name.
        #[expect(missing_docs, reason = "the registry documents them")]
        pub mod id {
            $($(pub const $constant: u16 = super::Index::$constant as u16;)+)+
        }

        /// Every feature, in order.
        pub const REGISTRY: &[FeatureDef] = &[$($(FeatureDef {
            id: id::$constant,
            name: stringify!($name),
            group: Group::$group,
            kind: Kind::$kind,
            doc: $doc,
            source: $source,
            reason: $reason,
        },)+)+];
    };
}

registry! {
    Identity {
        from_anonymous / FROM_ANONYMOUS: Flag, "RFC 3323 section 4.1.1.3", "From shows the user anonymous, unknown or unavailable, or no user.", "the caller shows no number";
        from_host_anonymous_invalid / FROM_HOST_ANONYMOUS_INVALID: Flag, "RFC 3323 section 4.1.1.3", "From host is anonymous.invalid.", "the caller asked for privacy";
        from_display_present / FROM_DISPLAY_PRESENT: Flag, "RFC 3261 section 20.20", "From has a display name.", "a display name is set";
        from_display_is_number / FROM_DISPLAY_IS_NUMBER: Flag, "RFC 3261 section 20.20", "The display name is a telephone number.", "the display name shows a number";
        from_display_differs_from_user / FROM_DISPLAY_DIFFERS_FROM_USER: Flag, "RFC 3261 section 20.20", "The display name is a number other than the From user.", "the name shows another number than the call's own";
        from_user_is_e164 / FROM_USER_IS_E164: Flag, "ITU-T E.164", "The From user is a full international number.", "the caller's number is not in international form";
        from_host_is_ip / FROM_HOST_IS_IP: Flag, "RFC 3261 section 19.1.1", "The From host is an IP address.", "the caller's domain is a bare address";
        from_host_private_ip / FROM_HOST_PRIVATE_IP: Flag, "RFC 1918, RFC 4193", "The From host is a private IP address.", "the caller's domain is a private address";
        pai_count / PAI_COUNT: Count, "RFC 3325", "P-Asserted-Identity values.", "no network vouches for the caller's number";
        pai_matches_from / PAI_MATCHES_FROM: Flag, "RFC 3325", "The asserted number is the one shown; missing without either.", "the number shown differs from the one the network asserts";
        privacy_id / PRIVACY_ID: Flag, "RFC 3325 section 9.3", "Privacy asks to withhold the identity (id, user or header).", "the caller asked for privacy";
        number_withheld / NUMBER_WITHHELD: Flag, "RFC 3323, RFC 3325", "The number is not to be presented, in whatever way that is said.", "the number is withheld";
        network_number_known / NETWORK_NUMBER_KNOWN: Flag, "RFC 3325, draft-ietf-sip-privacy-04", "The network gives the caller's number, shown or not.", "the network does not give the caller's number";
        presentation_differs_from_network / PRESENTATION_DIFFERS_FROM_NETWORK: Flag, "RFC 3325", "The number shown is another than the network's; missing when either is.", "the number shown differs from the one the network asserts";
        to_matches_request_uri / TO_MATCHES_REQUEST_URI: Flag, "RFC 3261 section 8.1.1.1", "To and Request-URI name the same user.", "the call was meant for somebody else";
        contact_user_matches_from / CONTACT_USER_MATCHES_FROM: Flag, "RFC 3261 section 8.1.1.8", "Contact and From name the same user.", "the contact names another user than the caller";
        diversion_count / DIVERSION_COUNT: Count, "RFC 5806", "Diversion values.", "the call was forwarded";
        history_info_depth / HISTORY_INFO_DEPTH: Count, "RFC 7044", "History-Info values.", "the call was forwarded";
    }
    Number {
        caller_length / CALLER_LENGTH: Count, "ITU-T E.164", "Digits of the caller's number.", "the caller's number has an unusual length";
        caller_digit_entropy / CALLER_DIGIT_ENTROPY: Ratio, "Shannon", "Entropy of its digits over that of ten equal ones.", "the caller's number looks made up";
        caller_repeated_digits / CALLER_REPEATED_DIGITS: Count, "", "Longest run of one digit.", "the caller's number looks made up";
        caller_sequential_digits / CALLER_SEQUENTIAL_DIGITS: Count, "", "Longest run of rising or falling digits.", "the caller's number looks made up";
        caller_equals_callee / CALLER_EQUALS_CALLEE: Flag, "", "Caller and callee are the same number.", "the caller shows the callee's own number";
        caller_digits_shared_with_callee / CALLER_DIGITS_SHARED_WITH_CALLEE: Count, "", "Leading digits that caller and callee share, both international.", "the caller's number resembles the callee's";
        international_call / INTERNATIONAL_CALL: Flag, "ITU-T E.164", "Caller and callee are in different countries.", "the call comes from abroad";
        callee_high_cost / CALLEE_HIGH_COST: Flag, "ITU-T E.164.1", "The callee is in a satellite or premium-rate range.", "the called number is in a high-cost range";
    }
    Header {
        header_count / HEADER_COUNT: Count, "RFC 3261 section 7.3", "Header lines.", "the signalling is unlike a carrier's";
        compact_forms / COMPACT_FORMS: Count, "RFC 3261 section 7.3.3", "Header names in compact form.", "the signalling is unlike a carrier's";
        folded_lines / FOLDED_LINES: Flag, "RFC 3261 section 7.3.1", "A header is folded over lines.", "the signalling is unlike a carrier's";
        case_oddities / CASE_ODDITIES: Count, "RFC 3261 section 7.3.1", "Known header names not spelt as specified.", "the signalling is unlike a carrier's";
        unknown_headers / UNKNOWN_HEADERS: Count, "IANA SIP parameters", "Header names that are not registered (X- and P- apart).", "the signalling is unlike a carrier's";
        x_headers / X_HEADERS: Count, "RFC 6648", "Header names that begin with X-.", "private headers are set";
        p_headers / P_HEADERS: Count, "RFC 5727 section 4", "Header names that begin with P-.", "the signalling is unlike a carrier's";
        via_count / VIA_COUNT: Count, "RFC 3261 section 20.42", "Via values.", "the path of the call is unusual";
        via_private_ip / VIA_PRIVATE_IP: Flag, "RFC 1918", "A Via sent-by is a private address.", "the call comes from behind a private network";
        branch_cookie / BRANCH_COOKIE: Flag, "RFC 3261 section 8.1.1.7", "The top branch begins with z9hG4bK.", "the signalling breaks the standard";
        branch_length / BRANCH_LENGTH: Count, "RFC 3261 section 8.1.1.7", "Length of the top branch.", "identifiers are unusual";
        callid_length / CALLID_LENGTH: Count, "RFC 3261 section 8.1.1.4", "Length of the Call-ID.", "identifiers are unusual";
        callid_has_host / CALLID_HAS_HOST: Flag, "RFC 3261 section 25.1", "The Call-ID has an @.", "identifiers are unusual";
        tag_length / TAG_LENGTH: Count, "RFC 3261 section 19.3", "Length of the From tag; 0 without one.", "identifiers are unusual";
        cseq_start / CSEQ_START: Count, "RFC 3261 section 8.1.1.5", "ln(1 + CSeq number).", "the call sequence starts unusually";
        max_forwards / MAX_FORWARDS: Count, "RFC 3261 section 20.22", "Max-Forwards.", "the path of the call is unusual";
        user_agent_present / USER_AGENT_PRESENT: Flag, "RFC 3261 section 20.41", "There is a User-Agent.", "the caller's device names itself";
        user_agent_is_scanner / USER_AGENT_IS_SCANNER: Flag, "public names of scanning tools", "User-Agent or From names a scanning tool.", "the signalling is that of a scanning tool";
        allow_present / ALLOW_PRESENT: Flag, "RFC 3261 section 20.5", "There is an Allow.", "the signalling is unlike a carrier's";
        supported_present / SUPPORTED_PRESENT: Flag, "RFC 3261 section 20.37", "There is a Supported.", "the signalling is unlike a carrier's";
        date_present / DATE_PRESENT: Flag, "RFC 3261 section 20.17", "There is a Date.", "a date is given";
        content_length_error / CONTENT_LENGTH_ERROR: Flag, "RFC 3261 section 20.14", "Content-Length is not the body's length.", "the signalling breaks the standard";
        session_expires_present / SESSION_EXPIRES_PRESENT: Flag, "RFC 4028", "There is a Session-Expires.", "session timers are set";
        record_routes / RECORD_ROUTES: Count, "RFC 3261 section 20.30", "Record-Route lines.", "the path of the call is unusual";
        contact_private_ip / CONTACT_PRIVATE_IP: Flag, "RFC 1918", "The Contact host is a private address.", "the call comes from behind a private network";
    }
    Sdp {
        sdp_present / SDP_PRESENT: Flag, "RFC 8866", "There is an SDP body.", "no media is offered";
        sdp_size / SDP_SIZE: Count, "RFC 8866", "Length of the SDP, bytes.", "the media offer is unusual";
        sdp_media_count / SDP_MEDIA_COUNT: Count, "RFC 8866 section 5.14", "Media descriptions.", "the media offer is unusual";
        sdp_codec_count / SDP_CODEC_COUNT: Count, "RFC 8866 section 5.14", "Formats of the first medium.", "the media offer is unusual";
        sdp_connection_ip_differs_from_source / SDP_CONNECTION_IP_DIFFERS_FROM_SOURCE: Flag, "RFC 8866 section 5.7", "Media goes elsewhere than signalling comes from.", "media and signalling come from different places";
        sdp_origin_ip_private / SDP_ORIGIN_IP_PRIVATE: Flag, "RFC 8866 section 5.2", "The origin address is private.", "the call comes from behind a private network";
        sdp_dtmf / SDP_DTMF: Flag, "RFC 4733", "telephone-event is offered.", "the media offer is unusual";
    }
    Transport {
        source_port_is_sip / SOURCE_PORT_IS_SIP: Flag, "RFC 3261 section 19.1.2", "The source port is 5060 or 5061.", "the source port is not a carrier's";
        ttl_hops / TTL_HOPS: Count, "RFC 791", "Hops from the sender: the next of 32, 64, 128, 255 less the TTL.", "the sender is many hops away";
        udp_checksum_zero / UDP_CHECKSUM_ZERO: Flag, "RFC 768", "The UDP checksum was not computed; missing over TCP.", "the packet was made by hand";
        packet_length / PACKET_LENGTH: Count, "", "Length of the SIP message, bytes.", "the signalling is unlike a carrier's";
        packets / PACKETS: Count, "RFC 791, RFC 9293", "Packets the message came in.", "the message came in pieces";
        transport_tcp / TRANSPORT_TCP: Flag, "RFC 3261 section 18", "The message came over TCP.", "the call came over TCP";
        source_via_differs / SOURCE_VIA_DIFFERS: Flag, "RFC 3261 section 18.2.1", "The top Via names another address than the packet's; missing for names.", "the sender's address is not the one it claims";
    }
    Stir {
        identity_count / IDENTITY_COUNT: Count, "RFC 8224", "Identity headers.", "the number is signed";
    }
    Behaviour {
        log_caller_calls_1m / LOG_CALLER_CALLS_1M: LogCount, "history", "Calls of the caller, half-life one minute.", "the caller has made many calls in the last minutes";
        log_caller_calls_1h / LOG_CALLER_CALLS_1H: LogCount, "history", "Calls of the caller, half-life one hour.", "the caller has made many calls today";
        log_callee_calls_1m / LOG_CALLEE_CALLS_1M: LogCount, "history", "Calls to the callee, half-life one minute.", "the callee is being flooded with calls";
        log_callee_calls_1h / LOG_CALLEE_CALLS_1H: LogCount, "history", "Calls to the callee, half-life one hour.", "the callee gets many calls";
        log_source_calls_10s / LOG_SOURCE_CALLS_10S: LogCount, "history", "Calls from the source address, half-life ten seconds.", "the source sends a burst of calls";
        log_source_calls_1m / LOG_SOURCE_CALLS_1M: LogCount, "history", "Calls from the source address, half-life one minute.", "the source sends a burst of calls";
        log_pair_calls_1h / LOG_PAIR_CALLS_1H: LogCount, "history", "Calls of this caller to this callee, half-life one hour.", "the caller keeps calling this callee";
        log_withheld_to_callee_1h / LOG_WITHHELD_TO_CALLEE_1H: LogCount, "history", "Withheld calls to this callee, half-life one hour.", "withheld calls to this callee repeat";
        caller_seconds_since_last / CALLER_SECONDS_SINCE_LAST: Seconds, "history", "Since the caller's last call; missing for the first.", "the caller called moments ago";
        log_caller_distinct_callees_1h / LOG_CALLER_DISTINCT_CALLEES_1H: LogCount, "history, linear counting", "Different callees of the caller in the last one to two hours.", "the caller dials through many numbers";
        log_callee_distinct_callers_10m / LOG_CALLEE_DISTINCT_CALLERS_10M: LogCount, "history, linear counting", "Different callers of the callee in the last ten to twenty minutes.", "many different callers call this callee";
        caller_answer_share / CALLER_ANSWER_SHARE: Ratio, "history", "Answered calls of the caller; missing before the first ended.", "the caller's calls are seldom answered";
        caller_short_call_share / CALLER_SHORT_CALL_SHARE: Ratio, "history", "Answered calls that lasted under six seconds, or rang shortly and were cancelled.", "the caller's calls are very short";
        caller_failure_share / CALLER_FAILURE_SHARE: Ratio, "history", "Failed calls of the caller.", "most of the caller's calls fail";
        source_failure_share / SOURCE_FAILURE_SHARE: Ratio, "history", "Failed calls of the source address.", "most calls from this source fail";
        fingerprint_new_for_source / FINGERPRINT_NEW_FOR_SOURCE: Flag, "history", "This header fingerprint was not seen from this source before; missing for a new source.", "this source never signalled like this before";
    }
}

/// How many features there are.
pub const COUNT: usize = REGISTRY.len();

/// Names of all features, in order.
pub fn names() -> Vec<&'static str> {
    REGISTRY.iter().map(|feature| feature.name).collect()
}

/// Index of the feature called `name`.
pub fn by_name(name: &str) -> Option<u16> {
    REGISTRY.iter().find(|feature| feature.name == name).map(|feature| feature.id)
}

/// docs/features.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Features\n\nGenerated by `scorer features --format markdown`; do not edit.\n\
         A missing value is NaN. `log_count` is ln(1 + count).\n\n\
         | id | name | group | kind | what | source |\n|---|---|---|---|---|---|\n",
    );
    for feature in REGISTRY {
        let FeatureDef { id, name, group, kind, doc, source, reason: _ } = feature;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {id} | `{name}` | {} | {} | {doc} | {source} |",
            group.name(),
            kind.name()
        );
    }
    text
}

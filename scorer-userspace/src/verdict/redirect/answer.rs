//! The answer to one INVITE.

use scorer_common::verdict::Action;

use super::RedirectConfig;
use crate::{
    policy::Response,
    sip::{Message, Scheme, StartLine, Uri},
    verdict::{header, recent::Outcome},
};

/// Code and headers.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Value of the risk header.
    pub(super) risk: Option<String>,
}

/// What is answered to a call; without an outcome it may go on.
pub(super) fn said(
    config: &RedirectConfig,
    request: &Message<'_>,
    outcome: Option<&Outcome<'_>>,
) -> Said {
    let action = outcome.map_or(Action::Pass, |outcome| outcome.action);
    let code = match (action, outcome) {
        (Action::Pass | Action::Tag, _) | (_, None) => config.allow_code,
        (Action::Divert, _) => config.divert_code,
        (Action::Reject, Some(outcome)) => config.reject_code.unwrap_or(outcome.response.code()),
        (Action::Drop, _) => config.drop_code,
    };
    let mut headers = Vec::new();
    if (300..400).contains(&code) {
        let contact = match (action, outcome) {
            (Action::Divert, Some(outcome)) => diverted(request, outcome.user, outcome.host),
            _ => contact(config, request),
        };
        headers.push(("Contact", format!("<{contact}>")));
    }
    if matches!(action, Action::Reject | Action::Drop) {
        headers.push(("Reason", format!("SIP;cause={code};text=\"{}\"", phrase(code))));
        if let (608, Some(info)) = (code, &config.call_info) {
            headers.push(("Call-Info", info.to_string()));
        }
    }
    let risk = outcome.map(|outcome| {
        let mut value = Vec::with_capacity(256);
        header::write(&outcome.verdict, outcome.model, &mut value);
        String::from_utf8_lossy(&value).into_owned()
    });
    Said { code, headers, risk }
}

/// Contact of a call that may go on.
fn contact(config: &RedirectConfig, request: &Message<'_>) -> String {
    match &config.contact {
        Some(template) => {
            let uri = request.request_uri();
            let user = uri.and_then(|uri| uri.user).unwrap_or_default();
            template.replace("{user}", &escaped(user))
        }
        None => match request.start() {
            StartLine::Request { uri, .. } => escaped(uri),
            StartLine::Status { .. } => String::new(),
        },
    }
}

/// The Request-URI with another user, host or both; its parameters stay. A tel URI with
/// a host becomes a sip URI (RFC 3261 section 19.1.6).
fn diverted(request: &Message<'_>, user: Option<&str>, host: Option<&str>) -> String {
    let Some(uri) = request.request_uri() else { return String::new() };
    let called = escaped(uri.user_full.unwrap_or_default());
    let user = user.map_or(called, |user| escaped(user.as_bytes()));
    let scheme = match (uri.scheme, host) {
        (Scheme::Tel, None) => return format!("tel:{user}"),
        (Scheme::Sips, _) => "sips",
        _ => "sip",
    };
    let at = if user.is_empty() { "" } else { "@" };
    let host = host.map_or_else(|| place(&uri), |host| escaped(host.as_bytes()));
    let semicolon = if uri.params.0.is_empty() || uri.scheme == Scheme::Tel { "" } else { ";" };
    let params = if semicolon.is_empty() { String::new() } else { escaped(uri.params.0) };
    format!("{scheme}:{user}{at}{host}{semicolon}{params}")
}

/// Host and port as a URI has them.
fn place(uri: &Uri<'_>) -> String {
    let host = escaped(uri.host);
    let host = if uri.host.contains(&b':') { format!("[{host}]") } else { host };
    uri.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// Bytes of a stranger's URI as they can stand between angle brackets: what could end
/// the URI or the header is percent-encoded.
fn escaped(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'}' | b'|' | ..=b' ' | 0x7f.. => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(*byte)),
        }
    }
    out
}

/// Reason phrases of the codes that are used here.
pub(super) const fn phrase(code: u16) -> &'static str {
    match code {
        200 => "OK",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => Response::Decline.phrase(),
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => Response::Unwanted.phrase(),
        608 => Response::Rejected.phrase(),
        _ if code < 400 => "Redirected",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use scorer_common::verdict::{Action, Tag, Tags};

    use super::{Said, diverted, escaped, said};
    use crate::{
        policy::{Decision, Response, Target},
        sip::{Message, Scratch},
        verdict::{
            recent::{Outcome, tests::assessed},
            redirect::RedirectConfig,
        },
    };

    fn with_request<T>(uri: &str, with: impl FnOnce(&Message<'_>) -> T) -> T {
        let text = format!("INVITE {uri} SIP/2.0\r\nCall-ID: x\r\n\r\n");
        let mut scratch = Scratch::new();
        with(&Message::parse(text.as_bytes(), None, &mut scratch).expect("a request"))
    }

    fn ask(config: &RedirectConfig, decision: Decision<'_>, tag: Option<Tag>) -> Said {
        assessed("x", "t", decision, |assessment| {
            let mut assessment = *assessment;
            let mut tags = Tags::NONE;
            if let Some(tag) = tag {
                tags.insert(tag);
            }
            assessment.verdict.tags = tags.0;
            with_request("sip:+442079460123@h:5070;user=phone", |request| {
                said(config, request, Some(&Outcome::of(&assessment)))
            })
        })
    }

    #[test]
    fn every_action_has_its_answer() {
        let mut config = RedirectConfig::default();
        let target = Target { user: Some("777".into()), host: Some("10.0.0.9".into()) };
        let of = |action| Decision { action, target: Some(&target), ..Decision::PASS };
        let pass = ask(&config, of(Action::Pass), None);
        let contact = ("Contact", "<sip:+442079460123@h:5070;user=phone>".to_owned());
        assert_eq!((pass.code, &pass.headers[..]), (302, &[contact][..]));
        assert!(pass.risk.is_some_and(|risk| risk.starts_with("87;level=high;model=m-1;id=")));
        let divert = ask(&config, of(Action::Divert), None);
        assert_eq!(divert.headers[0].1, "<sip:777@10.0.0.9;user=phone>");
        let reject = Decision { response: Response::Unwanted, ..of(Action::Reject) };
        let unwanted = ask(&config, reject, None);
        let reason = ("Reason", "SIP;cause=607;text=\"Unwanted\"".to_owned());
        assert_eq!((unwanted.code, &unwanted.headers[..]), (607, &[reason][..]));
        assert_eq!(ask(&config, of(Action::Drop), None).code, 603);
        // Whatever policy says of an emergency call.
        assert_eq!(ask(&config, reject, Some(Tag::Emergency)).code, 302);
        assert_eq!(ask(&config, of(Action::Drop), Some(Tag::Emergency)).code, 302);

        config.call_info = Some("<https://example.com/jcard>;purpose=jwscard".into());
        let objection = ask(&config, of(Action::Reject), None);
        assert_eq!(objection.code, 608);
        assert_eq!(objection.headers[1].0, "Call-Info");
        (config.allow_code, config.reject_code, config.drop_code) = (404, Some(403), 480);
        assert_eq!(ask(&config, of(Action::Tag), None).code, 404);
        assert_eq!(ask(&config, of(Action::Reject), None).code, 403);
        assert_eq!(ask(&config, of(Action::Drop), None).code, 480);
        config.allow_code = 302;
        config.contact = Some("sip:{user}@10.1.1.1:5060".into());
        let elsewhere = ask(&config, of(Action::Pass), None);
        assert_eq!(elsewhere.headers[0].1, "<sip:+442079460123@10.1.1.1:5060>");
        let late = with_request("sip:a@h", |request| said(&config, request, None));
        assert_eq!((late.code, late.risk), (302, None));
    }

    #[test]
    fn uris() {
        let of = |uri: &str, user, host| with_request(uri, |r| diverted(r, user, host));
        assert_eq!(of("sip:1;npdi@h;a=b?x=y", None, Some("e:5080")), "sip:1;npdi@e:5080;a=b");
        assert_eq!(of("sip:1@[2001:db8::1]:5070", Some("2"), None), "sip:2@[2001:db8::1]:5070");
        assert_eq!(of("tel:+441632960001;x=y", Some("2"), None), "tel:2");
        assert_eq!(of("tel:+441632960001;x=y", None, Some("h")), "sip:+441632960001@h");
        assert_eq!(of("sips:h", None, Some("e")), "sips:e");
        assert_eq!(escaped(b"sip:a>\r\nX: \"\xff@h"), "sip:a%3E%0D%0AX:%20%22%FF@h");
    }
}

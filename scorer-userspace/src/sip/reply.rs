//! Replies to requests (RFC 3261 section 8.2.6), built with rsip.

use rsip::{headers::UntypedHeader as _, message::HasHeaders as _, prelude::HeadersExt as _};

use super::{HeaderName, Message, text::is_blank};

/// Why no reply can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A reply needs this header of the request.
    #[error("the request has no {0} header, which a reply must repeat")]
    Missing(&'static str),
    /// A header is not UTF-8.
    #[error("the request's {0} header is not UTF-8")]
    NotText(&'static str),
}

/// Reply to `request` with `code` and its standard reason phrase; `tag` becomes
/// the To tag where the request has none.
///
/// # Errors
/// [`ReplyError`] when the request lacks what a reply must repeat.
pub fn reply(request: &Message<'_>, code: u16, tag: &str) -> Result<Vec<u8>, ReplyError> {
    let mut headers = rsip::Headers::default();
    for via in request.all(HeaderName::Via) {
        headers.push(rsip::headers::Via::new(unfold(via, "Via")?).into());
    }
    if headers.iter().next().is_none() {
        return Err(ReplyError::Missing("Via"));
    }
    let header = |name: HeaderName| {
        let value = request.header(name).ok_or(ReplyError::Missing(name.long()))?;
        unfold(value, name.long())
    };
    let mut to = header(HeaderName::To)?;
    if request.to().is_some_and(|to| to.tag().is_none()) {
        to.push_str(";tag=");
        to.push_str(tag);
    }
    headers.push(rsip::headers::From::new(header(HeaderName::From)?).into());
    headers.push(rsip::headers::To::new(to).into());
    headers.push(rsip::headers::CallId::new(header(HeaderName::CallId)?).into());
    headers.push(rsip::headers::CSeq::new(header(HeaderName::CSeq)?).into());
    headers.push(rsip::headers::ContentLength::new("0").into());
    let response = rsip::Response {
        status_code: code.into(),
        version: rsip::Version::V2,
        headers,
        body: Vec::new(),
    };
    debug_assert!(response.call_id_header().is_ok() && response.headers().iter().count() > 5);
    Ok(response.into())
}

/// A value on one line.
fn unfold(value: &[u8], name: &'static str) -> Result<String, ReplyError> {
    let text = std::str::from_utf8(value).map_err(|_| ReplyError::NotText(name))?;
    let mut line = String::with_capacity(text.len());
    for part in text.split(|c: char| u8::try_from(c).is_ok_and(is_blank)).filter(|p| !p.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
    }
    Ok(line)
}

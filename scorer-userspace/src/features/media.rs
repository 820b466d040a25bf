//! The media offer.

use super::{
    Call, Vector,
    context::{address, is_private_host},
    flag, id, maybe,
};

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let Some(sdp) = call.message.sdp() else {
        set(id::SDP_PRESENT, 0.0);
        return;
    };
    set(id::SDP_PRESENT, 1.0);
    set(id::SDP_SIZE, sdp.raw.len() as f32);
    let (mut media, mut codecs, mut dtmf) = (0u16, None, false);
    let mut connection = None;
    for (letter, value) in sdp.lines() {
        match letter {
            b'm' => {
                media = media.saturating_add(1);
                // m=audio 49170 RTP/AVP 8 0 101: formats from the fourth field on.
                codecs = codecs.or_else(|| Some(fields(value).skip(3).count()));
            }
            b'o' => {
                if let Some(host) = fields(value).nth(5) {
                    set(id::SDP_ORIGIN_IP_PRIVATE, flag(is_private_host(host)));
                }
            }
            b'c' => connection = connection.or_else(|| fields(value).nth(2)),
            b'a' => {
                dtmf |= value.starts_with(b"rtpmap:")
                    && value.windows(15).any(|w| w == b"telephone-event");
            }
            _ => {}
        }
    }
    set(id::SDP_MEDIA_COUNT, f32::from(media));
    if let Some(codecs) = codecs {
        set(id::SDP_CODEC_COUNT, codecs as f32);
    }
    set(id::SDP_DTMF, flag(dtmf));
    let media_host = connection.and_then(address);
    let differs = media_host.map(|host| host != call.meta.source.ip());
    set(id::SDP_CONNECTION_IP_DIFFERS_FROM_SOURCE, maybe(differs));
}

fn fields(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b' ').filter(|field| !field.is_empty())
}

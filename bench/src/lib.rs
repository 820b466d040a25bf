//! Generated INVITEs for benchmarks: six header styles, about a kilobyte each; and calls
//! that were assessed.

pub mod calls;

use etherparse::PacketBuilder;

/// The text of the `i`th INVITE. Numbers are from ranges kept for fiction.
pub fn invite(i: u32) -> String {
    let caller = format!("+44163296{:04}", i % 1_000);
    let callee = format!("+4420794{:05}", (i * 7) % 100_000);
    let (host, call_id) =
        (format!("192.0.2.{}", 1 + i % 50), format!("{i:08x}-{:08x}", i.wrapping_mul(0x9e37_79b9)));
    let via = format!(
        "SIP/2.0/UDP {host}:5060;branch=z9hG4bK{:016x};rport",
        u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    );
    let from = format!(
        "\"Caller {i}\" <sip:{caller}@carrier.example.net;user=phone>;tag={:08x}",
        i.wrapping_mul(2_654_435_761)
    );
    let to = format!("<sip:{callee}@edge.example.net;user=phone>");
    let sdp = format!(
        "v=0\r\no=- {i} {i} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {} RTP/AVP 8 0 18 101\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n",
        10_000 + 2 * (i % 20_000)
    );
    let common = match i % 6 {
        0 => format!(
            "Via: {via}\r\nMax-Forwards: 69\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}@{host}\r\nCSeq: 1 INVITE\r\nContact: <sip:{caller}@{host}:5060>\r\nP-Asserted-Identity: <sip:{caller}@carrier.example.net>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE\r\nSupported: 100rel, timer\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nUser-Agent: ExampleSBC/9.1\r\n"
        ),
        1 => format!(
            "Via: {via}\r\nRecord-Route: <sip:{host};lr>\r\nFrom: {from}\r\nTo: {to}\r\nContact: <sip:{caller}@{host}>\r\nCall-ID: {call_id}\r\nCSeq: 101 INVITE\r\nMax-Forwards: 70\r\nDate: Tue, 24 Nov 2026 08:00:00 GMT\r\nAllow: INVITE, OPTIONS, BYE, CANCEL, ACK\r\nRemote-Party-ID: <sip:{caller}@carrier.example.net>;party=calling;screen=yes;privacy=off\r\nSupported: replaces\r\n"
        ),
        2 => format!(
            "v: {via}\r\nf: {from}\r\nt: {to}\r\ni: {call_id}\r\nCSeq: 1 INVITE\r\nm: <sip:{caller}@{host}>\r\nMax-Forwards: 68\r\nk: timer\r\nP-Charging-Vector: icid-value={call_id};icid-generated-at={host}\r\nP-Asserted-Identity: <tel:{caller}>\r\nPrivacy: id\r\n"
        ),
        3 => format!(
            "Via: {via}\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK{i:x}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}@{host}\r\nCSeq: 20 INVITE\r\nContact: <sip:{caller}@{host}>\r\nMax-Forwards: 67\r\nDiversion: <sip:+441632960555@carrier.example.net>;reason=unconditional\r\nHistory-Info: <sip:+441632960555@carrier.example.net>;index=1\r\nUser-Agent: Example PBX 18.9\r\n"
        ),
        4 => format!(
            "Max-Forwards: 70\r\nVia: {via}\r\nTo: {to}\r\nFrom: {from}\r\nCall-ID: {call_id}\r\nCSeq: 8 INVITE\r\nContact: <sip:{caller}@{host}:5060;transport=udp>\r\nAccept: application/sdp\r\nAllow: INVITE,ACK,BYE,CANCEL\r\nP-Access-Network-Info: IEEE-802.11\r\nP-Early-Media: supported\r\n"
        ),
        _ => format!(
            "Via: {via}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContact: <sip:{caller}@{host}>\r\nMax-Forwards: 70\r\nX-Trunk: 17\r\nX-Account: {i}\r\nUser-Agent: ExamplePhone 2.{}\r\n",
            i % 9
        ),
    };
    format!(
        "INVITE sip:{callee}@edge.example.net;user=phone SIP/2.0\r\n{common}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

/// An Ethernet frame with the `i`th INVITE.
///
/// # Panics
/// Never: the INVITE fits a datagram.
pub fn frame(i: u32) -> Vec<u8> {
    let text = invite(i);
    let source = [192, 0, 2, (1 + i % 50) as u8];
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(source, [198, 51, 100, 1], 61)
        .udp(5060, 5060);
    let mut frame = Vec::with_capacity(text.len() + 42);
    builder.write(&mut frame, text.as_bytes()).expect("a datagram");
    // Packets of one sender are numbered.
    frame[18..20].copy_from_slice(&(i as u16).to_be_bytes());
    frame[24..26].copy_from_slice(&[0, 0]);
    let sum: u32 = frame[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    frame
}

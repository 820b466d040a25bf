use aya::{
    Ebpf,
    programs::{TestRun, TestRunOptions, Xdp},
};
use scorer::tap::object;

pub const INVITE: &[u8] = b"INVITE sip:+442079460123@edge.example.net;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-524287-1---d8a1b2c3\r\nMax-Forwards: 69\r\nRecord-Route: <sip:192.0.2.1;lr;ftag=abc>\r\nContact: <sip:+441632960001@192.0.2.1:5060>\r\nTo: <sip:+442079460123@edge.example.net>\r\nFrom: \"Alice\" <sip:+441632960001@carrier.example.net>;tag=8f3b2a1c\r\nCall-ID: 3848276298220188511@192.0.2.1\r\nCSeq: 1 INVITE\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, PRACK, INFO\r\nSupported: 100rel, timer, replaces\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nP-Asserted-Identity: <sip:+441632960001@carrier.example.net>\r\nPrivacy: none\r\nUser-Agent: ExampleSBC/9.1\r\nContent-Type: application/sdp\r\nContent-Disposition: session\r\nContent-Length: 245\r\n\r\nv=0\r\no=- 20518 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\na=silenceSupp:off - - - -\r\n";

pub struct Kernel {
    ebpf: Ebpf,
}

impl Kernel {
    pub fn new() -> Option<Self> {
        let mut ebpf = object::load(&[5060], 1 << 20, 1 << 20).expect("object loads");
        let p: &mut Xdp = ebpf.program_mut("tap").unwrap().try_into().unwrap();
        if let Err(e) = p.load() {
            let s = format!("{e}");
            let n = s.len();
            let full = format!("{e:?}");
            std::fs::write("/tmp/log/verifier.log", &s).unwrap();
            panic!("{} ... {}", &full[..full.len().min(500)], &s[n.saturating_sub(6000)..])
        }
        Some(Self { ebpf })
    }
    fn p(&self) -> &Xdp {
        self.ebpf.program("tap").unwrap().try_into().unwrap()
    }
    pub fn verified(&self) -> u32 {
        self.p().info().unwrap().verified_instruction_count().unwrap()
    }
    pub fn time(&self, f: &[u8], n: u32) -> (u32, std::time::Duration) {
        let mut best = (0, std::time::Duration::MAX);
        for _ in 0..5 {
            let r = self
                .p()
                .test_run(TestRunOptions { data_in: Some(f), repeat: n, ..TestRunOptions::new() })
                .unwrap();
            if r.duration < best.1 {
                best = (r.return_value, r.duration)
            }
        }
        best
    }
}

pub fn udp4(payload: &[u8], port: u16) -> Vec<u8> {
    let b = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 61)
        .udp(5060, port);
    let mut v = Vec::new();
    b.write(&mut v, payload).unwrap();
    v
}

//! The hot path allocates nothing once it is warm.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use scorer::{
    capture::{Frame, LinkType},
    engine::{Engine, EngineConfig},
    features,
    history::Mark,
    model::Model,
    output::{Style, json_line},
    time::Timestamp,
    verdict::{
        deliver::{DeliverConfig, Deliveries, Receiver},
        recent::feed,
    },
};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn frame(i: u32) -> Vec<u8> {
    let text = format!(
        "INVITE sip:+4420794{i:05}@edge.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{i}\r\n\
         Max-Forwards: 69\r\nFrom: \"A\" <sip:+44163296{i:04}@carrier.example>;tag={i}\r\nTo: <sip:+4420794{i:05}@edge.example>\r\n\
         Call-ID: {i}@h\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.1>\r\n\
         P-Asserted-Identity: <sip:+44163296{i:04}@carrier.example>, <tel:+44163296{i:04}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: 78\r\n\r\n\
         v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\n"
    );
    let mut bytes = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(
        [192, 0, 2, 1],
        [192, 0, 2, 2],
        61,
    );
    builder.udp(5060, 5060).write(&mut bytes, text.as_bytes()).expect("a frame");
    bytes
}

/// The frame as it is seen, a millisecond after the one before.
fn seen(bytes: &[u8], i: usize) -> Frame<'_> {
    Frame {
        link: LinkType::Ethernet,
        timestamp: Timestamp(1_760_000_000_000_000_000 + i as u64 * 1_000_000),
        bytes,
        wire_length: bytes.len() as u32,
        scan: None,
    }
}

/// An engine with the built-in model.
fn engine(config: &EngineConfig) -> Engine {
    let model = Model::builtin(&features::names()).expect("the built-in model");
    Engine::new(config, Arc::new(model)).expect("the built-in tables")
}

/// Counts the process's allocations: one test at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn a_thousand_calls_allocate_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut engine = engine(&EngineConfig::default());
    let frames: Vec<_> = (0..1_100).map(frame).collect();
    let mut out = Vec::with_capacity(1 << 16);
    let mut verdicts = 0;
    let mut inspect = |i: usize| {
        engine.inspect(&seen(&frames[i], i), &mut |assessment| {
            out.clear();
            json_line(assessment, Style::default(), Some(1), &mut out);
            verdicts += 1;
        });
    };
    (0..100).for_each(&mut inspect);
    let before = COUNT.load(Ordering::Relaxed);
    (100..1_100).for_each(&mut inspect);
    let allocated = COUNT.load(Ordering::Relaxed) - before;
    assert_eq!((verdicts, allocated), (1_100, 0));
}

/// In a cluster: what is told, and what others told.
#[test]
fn a_thousand_facts_allocate_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut config = EngineConfig::default();
    config.history.shared = Some([1, 2]);
    let [mut one, mut other] = [(); 2].map(|()| engine(&config));
    let frames: Vec<_> = (0..1_100).map(frame).collect();
    let mut facts = 0;
    let mut inspect = |i: usize| {
        one.inspect(&seen(&frames[i], i), &mut |_| {});
        for fact in one.facts() {
            other.merge(7, &fact);
            facts += 1;
        }
        other.mark(Mark { host: 7, epoch: 1, next: facts }, Some(facts));
    };
    (0..100).for_each(&mut inspect);
    let before = COUNT.load(Ordering::Relaxed);
    (100..1_100).for_each(&mut inspect);
    let allocated = COUNT.load(Ordering::Relaxed) - before;
    assert_eq!((facts, allocated), (1_100, 0));
}

#[test]
fn a_thousand_calls_allocate_nothing_where_a_consortium_is_joined() {
    use scorer::{
        number::Number,
        share::{
            Index, Quorum,
            event::{Category, Kind},
            index::Report,
            pseudonym::{Keys, Marks},
        },
    };
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut engine = engine(&EngineConfig::default());
    engine.join_consortium();
    let keys = Keys::new(1, &[1; 32]);
    let old = Keys::new(0, &[2; 32]);
    let names = vec!["carrier-a".into(), "carrier-b".into()];
    let mut index = Index::new(vec![keys.clone(), old], names, Quorum::default());
    // Every other caller is reported, by two.
    for i in (0..1_100).step_by(2) {
        let network = Number::parse(format!("+44163296{i:04}").as_bytes(), None);
        let marks = Marks { network, sketch: Some([i as u8; 16]), ..Marks::default() };
        let subject = marks.subject(|token| Ok::<_, ()>(keys.of(token))).expect("made");
        for organisation in 0..2 {
            let report = Report {
                organisation,
                kind: Kind::Confirmed,
                category: Category::Robocall,
                confidence: 90,
                trust: 100,
                evidence: 1,
                at: 1_759_000_000,
                until: u32::MAX,
            };
            index.add(report, &subject);
        }
    }
    assert!(engine.set_consortium(Arc::new(index)).is_none());
    let frames: Vec<_> = (0..1_100).map(frame).collect();
    let mut out = Vec::with_capacity(1 << 16);
    let (mut named, mut verdicts) = (0, 0);
    let mut inspect = |i: usize| {
        engine.inspect(&seen(&frames[i], i), &mut |assessment| {
            out.clear();
            json_line(assessment, Style::default(), Some(1), &mut out);
            named += usize::from(assessment.shared.is_some_and(|shared| shared.hit.strong));
            verdicts += 1;
        });
    };
    (0..100).for_each(&mut inspect);
    let before = COUNT.load(Ordering::Relaxed);
    (100..1_100).for_each(&mut inspect);
    let allocated = COUNT.load(Ordering::Relaxed) - before;
    assert_eq!((verdicts, named, allocated), (1_100, 550, 0));
}

#[test]
fn a_thousand_deliveries_allocate_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    // Nobody reads, nobody is there, and the queue is never emptied: what fails must
    // not cost memory, either.
    let _lazy = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
    let receivers = [format!("unix:{} json", path.display()), "unix:@nobody-here record".into()];
    let config = DeliverConfig {
        receivers: receivers.iter().map(|text| Receiver::parse(text).expect("good")).collect(),
        ring: Some(folder.path().join("ring")),
        ring_slots: 64,
        ..DeliverConfig::default()
    };
    let (feed, mail) = feed().expect("a queue");
    let mut deliveries = Deliveries::open(&config, false, Some(feed)).expect("opened");
    let mut engine = engine(&EngineConfig::default());
    let frames: Vec<_> = (0..1_300).map(frame).collect();
    let mut allocated = 0;
    for (i, bytes) in frames.iter().enumerate() {
        engine.inspect(&seen(bytes, i), &mut |assessment| {
            let before = COUNT.load(Ordering::Relaxed);
            deliveries.send(assessment, 1_000);
            // The first few warm it up.
            allocated += if i < 10 { 0 } else { COUNT.load(Ordering::Relaxed) - before };
        });
    }
    let ways = &deliveries.stats().ways;
    assert_eq!(
        (ways.ring_sent.get(), ways.recent_sent.get(), ways.recent_full.get()),
        (1_300, 1_024, 276)
    );
    assert_eq!(allocated, 0);
    drop(mail);
}

//! Three organisations, their hub and its NATS server, each in a namespace of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use ::scorer::share::{
    Bundle, Connection, Home,
    event::{Category, Event, Kind},
    pseudonym::{Keys, Marks},
};
use ring::signature::Ed25519KeyPair;
use scorer_tests::{
    backbone::{BACKBONE, Backbone},
    calls::{Invite, tags, texts},
    frames::udp4,
    http::Client,
    lab::{Lab, Running},
    model, nats,
    scorer::{self, LiveTap, binary},
    shared,
};
use serde_json::Value;

const HUB: u16 = 8443;
const NATS: u16 = 4222;

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// An organisation: its edge, its folder.
struct Site {
    name: &'static str,
    lab: Lab,
    folder: PathBuf,
    calls: u32,
}

/// Hub, NATS server and three organisations.
struct World {
    // Dropped in this order: what runs before where it runs.
    _hub: Running,
    nats: Option<Running>,
    backbone: Backbone,
    sites: [Site; 3],
    folder: tempfile::TempDir,
}

fn ran(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
    out
}

/// Waits until something is so.
fn until<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = is() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} is not so after {PATIENCE:?}");
        sleep(Duration::from_millis(10));
    }
}

impl Site {
    fn new(name: &'static str, under: &Path) -> Self {
        let folder = under.join(name);
        std::fs::create_dir(&folder).expect("a folder");
        Self { name, lab: Lab::new(), folder, calls: 0 }
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Its configuration, with more lines in it.
    fn configure(&self, more: &str) -> String {
        model::constant(&self.folder.join("model.onnx"), 50);
        let path = self.folder.join("scorer.toml");
        let text = format!(
            "[numbers]\nhome_country = 44\n[history]\nmib = 16\n[metrics]\nlisten = \"127.0.0.1:9464\"\n\
             [api]\nsocket = \"{}\"\n[lists]\nstore = \"{}\"\n[consortium]\nfolder = \"{}\"\n\
             refresh_seconds = 1\n{more}",
            self.folder.join("api.sock").display(),
            self.folder.join("lists.sqlite").display(),
            self.home().display(),
        );
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    fn tap(&self, more: &str) -> LiveTap {
        let (config, model) = (self.configure(more), self.folder.join("model.onnx"));
        let saved = self.folder.join("saved.pcap").display().to_string();
        let model = model.display().to_string();
        let more = ["--config", &config, "--model", &model, "--save", &saved];
        scorer::tap(&self.lab, "auto", &self.folder, &more)
    }

    /// `scorer consortium …` at its edge.
    fn consortium(&self, args: &[&str]) -> Command {
        let mut command = self.lab.edge(binary());
        command.arg("consortium").args(args);
        command
    }

    fn share(&self, args: &[&str]) -> String {
        let config = self.folder.join("scorer.toml").display().to_string();
        ran(self.consortium(&[&["share", "--config", &config][..], args].concat()))
    }

    /// The verdict on one call.
    fn call(&mut self, tap: &LiveTap, call: &Invite) -> Value {
        let id = format!("{}-{}", self.name, self.calls);
        self.calls += 1;
        self.lab.send(&[udp4(call.text(&id).as_bytes(), 5060)]);
        tap.verdict(&id)
    }

    /// Calls until the consortium names the caller; the verdict, and how long it took.
    fn named(&mut self, tap: &LiveTap, call: &Invite) -> (Value, Duration) {
        let start = Instant::now();
        let verdict = until("the caller is named by the consortium", || {
            let verdict = self.call(tap, call);
            (!verdict["consortium"].is_null()).then_some(verdict)
        });
        (verdict, start.elapsed())
    }

    fn metrics(&self) -> String {
        let address = ([127, 0, 0, 1], 9464).into();
        self.lab.inside_edge(|| {
            // A scorer that has just started listens in a moment.
            until("metrics are served", || std::net::TcpStream::connect(address).ok());
            Client::tcp(address).get("/metrics").body
        })
    }

    /// A metric's value, with its label if it has one.
    fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    fn refused(&self, cause: &str) -> f64 {
        self.metric(&format!("scorer_consortium_refused_total{{cause=\"{cause}\"}}"))
    }

    fn bundle(&self) -> Bundle {
        Bundle::read(&self.folder.join("bundle")).expect("a bundle")
    }
}

impl World {
    fn new(mode: &str) -> Option<Self> {
        if !shared::privileged() {
            return None;
        }
        let server = nats::server()?;
        let folder = tempfile::tempdir().expect("a folder");
        let sites =
            ["carrier-a", "carrier-b", "carrier-c"].map(|name| Site::new(name, folder.path()));
        let backbone = Backbone::new(&sites.each_ref().map(|site| &site.lab));
        let hub = folder.path().join("hub");
        let (url, nats) = (format!("https://{BACKBONE}:{HUB}"), format!("tls://{BACKBONE}:{NATS}"));
        let mut init = backbone.command(binary());
        init.args(["consortium", "hub", "init", "--name", "demo", "--mode", mode]);
        init.args(["--url", &url, "--nats", &nats, "--folder"]).arg(&hub);
        ran(init);
        let nats = start_nats(&backbone, &server, &hub, folder.path());
        let mut run = backbone.command(binary());
        run.args(["consortium", "hub", "run", "--listen", &format!("0.0.0.0:{HUB}"), "--folder"]);
        let words = folder.path().join("hub.txt");
        let log = std::fs::File::create(&words).expect("a log");
        run.arg(&hub).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let running = Running(run.spawn().expect("the hub starts"));
        until("the hub runs and has its stream", || {
            let words = std::fs::read_to_string(&words).unwrap_or_default();
            words.contains("the stream CONSORTIUM_EVENTS is there").then_some(())
        });
        let world = Self { _hub: running, nats: Some(nats), backbone, sites, folder };
        for site in &world.sites {
            world.invite(site.name, &site.folder.join("bundle"));
            let (bundle, home) = (site.folder.join("bundle"), site.home());
            let args =
                ["join", &bundle.display().to_string(), "--folder", &home.display().to_string()];
            ran(site.consortium(&args));
        }
        Some(world)
    }

    fn hub(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    fn invite(&self, name: &str, bundle: &Path) {
        let mut invite = self.backbone.command(binary());
        invite.args(["consortium", "hub", "invite", name, "--folder"]).arg(self.hub());
        ran({
            invite.arg("--output").arg(bundle);
            invite
        });
    }

    /// Does something as a member, at the backbone.
    fn as_member<T: Send>(
        &self,
        bundle: &Bundle,
        work: impl AsyncFnOnce(&Connection) -> T + Send,
    ) -> T {
        self.backbone.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let connection = Connection::open(bundle, false).await.expect("connected");
                work(&connection).await
            })
        })
    }
}

/// Whether a message comes within so many ms.
async fn next(from: &mut async_nats::Subscriber, within: u64) -> bool {
    use futures::StreamExt as _;
    let next = tokio::time::timeout(Duration::from_millis(within), from.next()).await;
    matches!(next, Ok(Some(_)))
}

fn start_nats(backbone: &Backbone, server: &Path, hub: &Path, folder: &Path) -> Running {
    let words = folder.join("nats.txt");
    let log = std::fs::File::create(&words).expect("a log");
    let mut command = backbone.command(server);
    command.arg("-c").arg(hub.join("nats.conf")).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("the log")).stderr(log);
    let running = Running(command.spawn().expect("nats-server starts"));
    until("nats-server is ready", || {
        let words = std::fs::read_to_string(&words).unwrap_or_default();
        words.contains("Server is ready").then_some(())
    });
    running
}

/// The fraudster, whose own equipment signs what it sends with its address.
fn fraudster(call: Invite) -> Invite {
    call.replacing("o=- 20518 0 IN IP4 192.0.2.1", "o=- 20518 0 IN IP4 203.0.113.66")
}

const NUMBER: &str = "+441632960777";

#[test]
fn confirmed_at_one_flagged_at_the_others() {
    let Some(mut world) = World::new("keyed") else { return };
    let taps = world.sites.each_ref().map(|site| site.tap(""));
    let [a, b, c] = &mut world.sites;
    let [tap_a, tap_b, tap_c] = &taps;
    let withheld = || fraudster(Invite::withheld(NUMBER));
    let spoofed = |shown: &str| fraudster(Invite::of(shown, "")).without("P-Asserted-Identity");
    // Nobody knows him yet.
    for (site, tap) in [(&mut *a, tap_a), (&mut *b, tap_b)] {
        let verdict = site.call(tap, &withheld());
        assert!(verdict["consortium"].is_null() && !tags(&verdict).contains(&"consortium"));
    }
    assert!(c.call(tap_c, &spoofed("+442079460555"))["consortium"].is_null());
    // The first confirms him: by one of his calls, as it was captured.
    let capture = a.folder.join("saved.pcap").display().to_string();
    until("the capture has his call", || {
        std::fs::metadata(&capture).is_ok_and(|about| about.len() > 600).then_some(())
    });
    let told = a.share(&[
        "--call-id",
        "carrier-a-0",
        "--capture",
        &capture,
        "--category",
        "impersonation",
    ]);
    let start = Instant::now();
    assert!(
        told.contains("confirmed +44********77: network number, fingerprint, sketch"),
        "{told}"
    );
    let (verdict, _) = b.named(tap_b, &withheld());
    let withheld_after = start.elapsed();
    assert!(tags(&verdict).contains(&"consortium"), "{verdict}");
    let said = &verdict["consortium"];
    assert_eq!((&said["by"], &said["strong"]), (&"network_number".into(), &false.into()));
    assert_eq!(said["reports"][0]["who"], "carrier-a");
    assert_eq!(said["reports"][0]["category"], "impersonation");
    let first = texts(&verdict).remove(0);
    assert!(first.contains("carrier-a confirmed (90 %)"), "{first}");
    let (verdict, _) = c.named(tap_c, &spoofed("+442079460556"));
    let spoofed_after = start.elapsed();
    assert!(tags(&verdict).contains(&"consortium"), "{verdict}");
    assert_eq!(verdict["consortium"]["by"], "signalling", "{verdict}");
    println!("flagged withheld after {withheld_after:?}, spoofed after {spoofed_after:?}");
    // Innocents: another subscriber of the same equipment, and other equipment.
    let other = fraudster(Invite::of("+441632960123", "+441632960123"));
    assert!(c.call(tap_c, &other)["consortium"].is_null());
    let other = Invite::of("+442079460556", "").without("P-Asserted-Identity");
    assert!(c.call(tap_c, &other)["consortium"].is_null());
    // He is his own organisation's affair there.
    assert!(a.call(tap_a, &withheld())["consortium"].is_null());
    // A second organisation makes it strong, at the third, where policy looks for that.
    b.share(&["--number", NUMBER, "--confidence", "80"]);
    until("it is strong", || {
        let verdict = c.call(tap_c, &Invite::withheld(NUMBER));
        (verdict["consortium"]["strong"] == true).then_some(())
    });
    // For others' systems, as their own validator reads it.
    let exported = c.folder.join("events.json");
    let (home, file) = (c.home().display().to_string(), exported.display().to_string());
    ran(c.consortium(&["export", "--stix", "--folder", &home, "--output", &file]));
    let bundle: Value =
        serde_json::from_slice(&std::fs::read(&exported).expect("written")).expect("JSON");
    assert_eq!(bundle["objects"].as_array().map(Vec::len), Some(4), "{bundle}");
    if let Some(validator) = nats::program("stix2_validator") {
        let mut validate = Command::new(validator);
        validate.arg(&exported);
        let said = ran(validate);
        assert!(said.contains("STIX JSON: Valid"), "{said}");
    }
    // The own allow list goes first.
    let store = c.folder.join("lists.sqlite").display().to_string();
    let mut allow = Command::new(binary());
    allow.args(["list", "--store", &store, "add", "allow_number", NUMBER]);
    ran(allow);
    let verdict = until("he is allowed", || {
        let verdict = c.call(tap_c, &Invite::of(NUMBER, NUMBER));
        tags(&verdict).contains(&"allowlisted").then_some(verdict)
    });
    assert!(
        !tags(&verdict).contains(&"consortium") && !verdict["consortium"].is_null(),
        "{verdict}"
    );
    // Withdrawn, it is forgotten.
    let sequence = told.split(' ').next().expect("a sequence");
    let home = a.home().display().to_string();
    ran(a.consortium(&["revoke", sequence, "--folder", &home]));
    until("only the second says it", || {
        let verdict = c.call(tap_c, &Invite::withheld(NUMBER));
        (verdict["consortium"]["members"] == 1).then_some(())
    });
    // What is told of all this names nobody.
    for (site, tap) in [(&*b, tap_b), (&*c, tap_c)] {
        let words = std::fs::read_to_string(&tap.words).expect("words");
        let metrics = site.metrics();
        assert!(!words.contains("960777") && !metrics.contains("960777"), "{words}");
    }
    let api = Client::unix(b.folder.join("api.sock")).get("/v1/consortium");
    assert_eq!(api.status, 200);
    let told: Value = until("the API tells what was taken", || {
        let told = Client::unix(b.folder.join("api.sock")).get("/v1/consortium").json();
        (told["connected"] == true && told["members"][0]["taken"] == 2).then_some(told)
    });
    assert_eq!((&told["lag"], &told["members"][0]["name"]), (&0.into(), &"carrier-a".into()));
    for tap in taps {
        tap.finish();
    }
}

/// What a member may not say, and what becomes of it at the others.
#[test]
fn what_is_refused_is_counted_by_its_cause() {
    let Some(mut world) = World::new("keyed") else { return };
    let tap = world.sites[1].tap("");
    let bundle = world.sites[0].bundle();
    let home = Home::open(&world.sites[0].home()).expect("joined");
    let directory = home.store().expect("a store").directory().expect("read").expect("told");
    let epoch = directory.current().expect("an epoch");
    let keys = Keys::new(epoch.number, &epoch.key);
    let now = || u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("after 1970");
    let marks = Marks {
        network: ::scorer::number::Number::parse(NUMBER.as_bytes(), None),
        ..Marks::default()
    };
    let subject = marks.subject(|token| Ok::<_, ()>(keys.of(token))).expect("made");
    let good = |sequence: u64| Event {
        kind: Kind::Suspected,
        category: Category::Other,
        confidence: 50,
        evidence: 1,
        epoch: epoch.number,
        check: keys.check,
        sequence,
        refers: 0,
        time: now(),
        expires: now() + 3_600_000,
        subject,
        issuer: "carrier-a".to_owned(),
    };
    let other = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("32 bytes");
    let signed = |event: &Event| event.sign(home.key());
    let first = signed(&good(10));
    let hour = 3_600_000;
    let past = Event { time: now() - hour, ..good(11) };
    let future = Event { time: now() + hour, expires: now() + 2 * hour, ..good(11) };
    let over = Event { time: now() - 60_000, expires: now() - 30_000, ..good(11) };
    let wrong = Keys::new(epoch.number, &[1; 32]);
    let mut newer = signed(&good(11));
    newer[3] = 2;
    let bad = [
        ("replayed", first.clone()),
        ("forged", good(11).sign(&other)),
        ("back_dated", signed(&past)),
        ("future_dated", signed(&future)),
        ("expired", signed(&over)),
        ("wrong_key", signed(&Event { check: wrong.check, ..good(11) })),
        ("wrong_epoch", signed(&Event { epoch: 9, ..good(11) })),
        ("unknown_issuer", signed(&Event { issuer: "carrier-c".to_owned(), ..good(11) })),
        ("unknown_version", newer),
        ("malformed", b"hello".to_vec()),
        ("too_large", vec![b'S'; 900]),
    ];
    let messages = 1 + bad.len();
    world.as_member(&bundle, async |member| {
        member.publish("carrier-a", 1, first).await.expect("taken");
        for (i, (cause, bytes)) in bad.iter().enumerate() {
            let id = 100 + i as u64;
            member
                .publish("carrier-a", id, bytes.clone())
                .await
                .unwrap_or_else(|e| panic!("{cause}: {e}"));
        }
    });
    until("all causes are counted", || {
        let metrics = world.sites[1].metrics();
        let counted =
            |cause: &str| metrics.contains(&format!("refused_total{{cause=\"{cause}\"}} 1"));
        bad.iter().all(|(cause, _)| counted(cause)).then_some(())
    });
    assert_eq!(world.sites[1].metric("scorer_consortium_events_total{kind=\"suspected\"}"), 1.0);
    // A suspicion is shown, and is no confirmation.
    let (verdict, _) = world.sites[1].named(&tap, &Invite::withheld(NUMBER));
    assert!(!tags(&verdict).contains(&"consortium"), "{verdict}");
    // Headers of its own make nobody else of it.
    world.as_member(&bundle, async |member| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Subject", "consortium.events.carrier-c");
        headers.insert("Nats-Sequence", "1");
        headers.insert("Nats-Time-Stamp", "2020-01-01T00:00:00Z");
        let said = signed(&Event { issuer: "carrier-c".to_owned(), ..good(12) });
        member.publish_as("consortium.events.carrier-a", headers, said).await.expect("stored");
    });
    until("it is refused as his who sent it", || {
        (world.sites[1].refused("unknown_issuer") >= 2.0).then_some(())
    });
    // A flood: what a member may send in a minute is taken, and no more.
    let flood: Vec<_> = (0..200).map(|i| signed(&good(1_000 + i))).collect();
    world.as_member(&bundle, async |member| {
        for (i, bytes) in flood.into_iter().enumerate() {
            member.publish("carrier-a", 1_000 + i as u64, bytes).await.expect("stored");
        }
    });
    let all = (messages + 1 + 200) as f64;
    let sums = |metrics: &str| -> (f64, f64) {
        let sum = |prefix: &str| -> f64 {
            let lines = metrics.lines().filter(|line| line.starts_with(prefix));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        (sum("scorer_consortium_events_total"), sum("scorer_consortium_refused_total"))
    };
    let (taken, refused) = until("the flood is judged", || {
        let (taken, refused) = sums(&world.sites[1].metrics());
        (taken + refused >= all).then_some((taken, refused))
    });
    let limited = world.sites[1].refused("rate_limited");
    println!("of {all} messages {taken} taken, {refused} refused, {limited} of the flood");
    assert!(limited >= 100.0 && taken <= 100.0, "{limited} {taken}");
    // Who comes late decides the same.
    let late = world.sites[2].tap("");
    until("the late one has caught up", || {
        let found = sums(&world.sites[2].metrics());
        (found == (taken, refused)).then_some(())
    });
    let (verdict, _) = world.sites[2].named(&late, &Invite::withheld(NUMBER));
    assert_eq!(verdict["consortium"]["reports"][0]["who"], "carrier-a");

    // Without the server the scorer goes on, says so, and comes back.
    drop(world.nats.take());
    until("it says that it is alone", || {
        (world.sites[1].metric("scorer_consortium_connected") == 0.0).then_some(())
    });
    assert!(!world.sites[1].call(&tap, &Invite::withheld(NUMBER))["consortium"].is_null());
    let (_, words) = tap.finish();
    assert!(words.contains("the NATS server is away"), "{words}");
    // So does one that starts meanwhile: it knows what was known.
    let tap = world.sites[1].tap("");
    assert!(!world.sites[1].call(&tap, &Invite::withheld(NUMBER))["consortium"].is_null());
    let server = nats::server().expect("it was there");
    world.nats = Some(start_nats(&world.backbone, &server, &world.hub(), world.folder.path()));
    until("it is connected again", || {
        (world.sites[1].metric("scorer_consortium_connected") == 1.0).then_some(())
    });
    // A server that has lost its stream counts from 1 again, and is heard all the same.
    drop(world.nats.take());
    std::fs::remove_dir_all(world.hub().join("jetstream")).expect("it was there");
    world.nats = Some(start_nats(&world.backbone, &server, &world.hub(), world.folder.path()));
    let config = world.sites[2].folder.join("scorer.toml").display().to_string();
    let args = ["share", "--config", &config, "--number", "+441632960444"];
    until("the hub has made the stream", || {
        let output = world.sites[2].consortium(&args).output().expect("it runs");
        output.status.success().then_some(())
    });
    let (verdict, _) = world.sites[1].named(&tap, &Invite::withheld("+441632960444"));
    assert_eq!(verdict["consortium"]["reports"][0]["who"], "carrier-c", "{verdict}");
    // Revoked: cut off from the server, refused by the hub, forgotten by the others.
    let hub = world.hub().display().to_string();
    let mut revoke = world.backbone.command(binary());
    revoke.args(["consortium", "revoke", "carrier-a", "--hub", &hub]);
    ran(revoke);
    until("it is forgotten", || {
        let verdict = world.sites[1].call(&tap, &Invite::withheld(NUMBER));
        verdict["consortium"].is_null().then_some(())
    });
    let config = world.sites[0].configure("");
    let output = world.sites[0].consortium(&["share", "--config", &config, "--number", NUMBER]);
    let output = { output }.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("no member's, or no longer"), "{said}");
    let refused = until("the server cuts it off", || {
        world.backbone.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                Connection::open(&bundle, false).await.err().map(|error| error.to_string())
            })
        })
    });
    assert!(refused.contains("uthorization"), "{refused}");
    tap.finish();
    late.finish();
}

/// What a member may do at the NATS server, and what it may not.
#[test]
fn a_member_reads_and_writes_what_it_may() {
    let Some(world) = World::new("keyed") else { return };
    let bundle = world.sites[0].bundle();
    world.as_member(&bundle, async |member| {
        for subject in [
            "consortium.events.carrier-b",
            "consortium.live.carrier-b",
            "consortium.live.carrier-a",
            "$JS.API.STREAM.DELETE.CONSORTIUM_EVENTS",
            "$JS.API.STREAM.PURGE.CONSORTIUM_EVENTS",
            "$JS.API.STREAM.UPDATE.CONSORTIUM_EVENTS",
            "$JS.API.STREAM.MSG.DELETE.CONSORTIUM_EVENTS",
            "$JS.API.CONSUMER.CREATE.CONSORTIUM_EVENTS",
            "$SYS.REQ.SERVER.PING",
        ] {
            let headers = async_nats::HeaderMap::new();
            let answer = member.publish_as(subject, headers, b"{}".to_vec()).await;
            let said = answer.expect_err(subject).to_string().to_lowercase();
            assert!(said.contains("permissions violation"), "{subject}: {said}");
        }
        let client = member.client();
        let listen =
            async |subject: &str| client.subscribe(subject.to_owned()).await.expect("asked");
        let mut live = listen("consortium.live.*").await;
        let mut forbidden = Vec::new();
        for subject in [">", "consortium.events.*", "_INBOX_carrier-b.>", "_INBOX.>", "$JS.>"] {
            forbidden.push((subject, listen(subject).await));
        }
        client.flush().await.expect("flushed");
        member.publish("carrier-a", 1, b"hello".to_vec()).await.expect("its own it may");
        assert!(next(&mut live, 5_000).await, "what is stored is heard");
        for (subject, heard) in &mut forbidden {
            assert!(!next(heard, 200).await, "{subject}");
        }
    });
    // Not with another key for the server, nor without the consortium's certificate.
    let b = world.sites[1].bundle();
    let stranger = Bundle { nkey: b.nkey.clone(), ..bundle.clone() };
    let open = |bundle: &Bundle| {
        world.backbone.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                Connection::open(bundle, false).await.map(drop).map_err(|error| error.to_string())
            })
        })
    };
    assert!(open(&bundle).is_ok());
    // Another member's nkey is that member, whoever's certificate it is: both are secret.
    assert!(open(&stranger).is_ok());
    let seed = bundle.nkey.replace(&bundle.nkey[10..14], "AAAA");
    assert!(open(&Bundle { nkey: seed, ..bundle.clone() }).is_err());
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["carrier-a".to_owned()]).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let forged = Bundle { certificate, key: key.serialize_pem(), ..bundle };
    assert!(open(&forged).is_err());
    let path = world.folder.path().join("forged");
    std::fs::write(&path, serde_json::to_string(&forged).expect("JSON")).expect("written");
    let (path, home) =
        (path.display().to_string(), world.folder.path().join("x").display().to_string());
    let output =
        world.sites[0].consortium(&["join", &path, "--folder", &home]).output().expect("runs");
    assert!(!output.status.success(), "the hub lets no stranger in");
}

/// Nobody but the caller's own networks sees the number: the match may come after the
/// first verdict, and the next one has it.
#[test]
fn blindly_the_match_comes_as_an_update() {
    let Some(mut world) = World::new("blind") else { return };
    let [a, b, _] = &mut world.sites;
    a.configure("");
    let tap = b.tap("");
    // Asked about before anybody spoke of it: known when somebody does.
    let early = Invite::withheld("+441632960555");
    assert!(b.call(&tap, &early)["consortium"].is_null());
    until("the hub was asked", || {
        let asked = "scorer_consortium_evaluations_total{outcome=\"evaluated\"}";
        (b.metric(asked) >= 1.0).then_some(())
    });
    a.share(&["--number", "+441632960555"]);
    let (verdict, after) = b.named(&tap, &early);
    println!("a number that had called is flagged after {after:?}");
    assert_eq!(verdict["update"], Value::Null, "in the verdict itself: {verdict}");
    // One that never called: the verdict comes first, then its update.
    a.share(&["--number", NUMBER, "--category", "wangiri"]);
    until("the event is there", || {
        (b.metric("scorer_consortium_active_events") == 2.0).then_some(())
    });
    let call = Invite::withheld(NUMBER);
    let verdict = b.call(&tap, &call);
    assert!(verdict["consortium"].is_null(), "{verdict}");
    let id = verdict["call_id"].as_str().expect("a Call-ID").to_owned();
    let start = Instant::now();
    let update = until("its update comes", || {
        let text = std::fs::read_to_string(&tap.verdicts).ok()?;
        let is = |line: &&str| line.contains(&id) && line.contains("\"update\":true");
        text.lines().find(is).map(scorer_tests::calls::verdict)
    });
    println!("the update was there after {:?}", start.elapsed());
    assert!(tags(&update).contains(&"consortium"), "{update}");
    assert_eq!(update["consortium"]["reports"][0]["category"], "wangiri");
    assert!(texts(&update)[0].contains("carrier-a confirmed"), "{update}");
    assert_eq!(update["caller"], verdict["caller"]);
    let api = Client::unix(b.folder.join("api.sock"));
    let told = until("the API has it", || {
        let told = api.get(&format!("/v1/calls/{id}/verdict")).json();
        (!told["consortium"].is_null()).then_some(told)
    });
    assert_eq!(told["update"], true, "{told}");
    // At once from now on, and of others nothing.
    let verdict = b.call(&tap, &call);
    assert!(tags(&verdict).contains(&"consortium") && verdict["update"].is_null(), "{verdict}");
    assert!(b.call(&tap, &Invite::withheld("+441632960999"))["consortium"].is_null());
    assert_eq!(b.metric("scorer_consortium_updates_total"), 1.0);
    let (lines, _) = tap.finish();
    assert_eq!(lines.matches("\"update\":true").count(), 1);
}

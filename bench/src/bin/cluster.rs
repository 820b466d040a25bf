//! `cluster [SECONDS]`: what hosts of a cluster tell each other, in messages and bytes a
//! second, through a real NATS server: simulated hosts, each with an engine and a cluster
//! thread of its own, in one process. A table for docs/scale.md.
//!
//! Each call is an INVITE of a caller of its own, a 200 and a BYE: three facts, and as
//! many bytes as a call may cost.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use scorer::{
    capture::{Frame, LinkType},
    cluster::{Cluster, ClusterConfig, Seat, Stats, Stores},
    engine::{Engine, EngineConfig},
    features,
    history::HistoryConfig,
    model::Model,
    tap::wall,
};
use scorer_tests::{frames::udp4, nats};

struct Host {
    engine: Engine,
    seat: Seat,
    stats: Arc<Stats>,
    cluster: Cluster,
    calls: u32,
    /// Call-IDs that are answered and not over.
    open: Vec<String>,
}

const PORT: u16 = 24_222;

fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(10), |text| text.parse())?;
    println!(
        "| hosts | calls/s each | told: messages/s | kB/s | bytes a fact | bytes a call | received: messages/s | kB/s | counted/s | µs to count one | NATS CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for hosts in [1, 3, 10] {
        for rate in [10, 100] {
            measure(hosts, rate, seconds)?;
        }
    }
    Ok(())
}

fn config(folder: &Path, number: usize) -> ClusterConfig {
    ClusterConfig {
        servers: vec![format!("nats://127.0.0.1:{PORT}")],
        host: Some(format!("edge-{number}")),
        secret: Some(folder.join("secret")),
        spool: Some(folder.join(format!("spool-{number}"))),
        ..ClusterConfig::default()
    }
}

fn measure(count: usize, rate: u32, seconds: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("secret");
    fs::write(&secret, [b'x'; 32])?;
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let server = nats::alone(folder.path(), PORT)
        .context("nats-server is not installed: `cargo xtask test` does it")?;
    let model = Arc::new(Model::builtin(&features::names())?);
    let mut hosts = Vec::new();
    for number in 0..count {
        let config = config(folder.path(), number);
        let history = HistoryConfig {
            bytes: 8 << 20,
            profile_bytes: 8 << 20,
            secret: true,
            shared: config.history_secret()?,
        };
        let engine_config = EngineConfig { history, ..EngineConfig::default() };
        let engine = Engine::new(&engine_config, Arc::clone(&model))?;
        let marks = engine.history().marks().clone();
        let (seat, cluster) = Cluster::start(&config, &Stores::default(), &marks)?;
        let stats = seat.stats();
        let calls = number as u32 * 1_000_000;
        hosts.push(Host { engine, seat, stats, cluster, calls, open: Vec::new() });
    }
    // Streams are made, consumers follow.
    run(&mut hosts, rate, Duration::from_secs(3));
    let before: Vec<_> = hosts.iter().map(|host| values(&host.stats)).collect();
    let cpu = cpu_seconds(server.0.id());
    let start = Instant::now();
    let counting = run(&mut hosts, rate, Duration::from_secs(seconds));
    let took = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds(server.0.id()) - cpu;
    let mut sums = [0.0; 6];
    for (host, before) in hosts.iter().zip(&before) {
        let now = values(&host.stats);
        ensure!(now[6] == 0.0, "facts were lost");
        for (sum, (now, before)) in sums.iter_mut().zip(now.iter().zip(before)) {
            *sum += (now - before) / took / count as f64;
        }
    }
    let [told, messages_out, bytes_out, messages_in, bytes_in, counted] = sums;
    let facts = counted * took * count as f64;
    let each = match facts {
        1.0.. => format!("{:.1}", counting.as_secs_f64() * 1e6 / facts),
        _ => "–".to_owned(),
    };
    println!(
        "| {count} | {rate} | {messages_out:.1} | {:.1} | {:.0} | {:.0} | {messages_in:.1} | {:.1} | {counted:.0} | {each} | {:.1} % |",
        bytes_out / 1e3,
        bytes_out / told,
        bytes_out / f64::from(rate),
        bytes_in / 1e3,
        cpu / took * 100.0
    );
    for Host { seat, cluster, .. } in hosts {
        drop(seat);
        cluster.finish();
    }
    Ok(())
}

/// Told, messages and bytes out and in, counted, lost.
fn values(stats: &Stats) -> [f64; 7] {
    let samples = stats.samples();
    [
        ("facts", "told"),
        ("messages", "published"),
        ("bytes", "published"),
        ("messages", "received"),
        ("bytes", "received"),
        ("facts", "counted"),
        ("facts", "queue_full"),
    ]
    .map(|(what, label)| {
        let name = format!("scorer_cluster_{what}_total");
        let found = samples.iter().find(|(known, of, _)| *known == name && *of == label);
        found.map_or(0.0, |(_, _, value)| *value as f64)
    })
}

/// Has hosts score calls at a rate for a time; how long they counted others' facts.
fn run(hosts: &mut [Host], rate: u32, time: Duration) -> Duration {
    let start = Instant::now();
    let mut counting = Duration::ZERO;
    let mut done = 0;
    while start.elapsed() < time {
        let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u32;
        while done < due {
            done += 1;
            hosts.iter_mut().for_each(call);
        }
        for host in hosts.iter_mut() {
            let from = Instant::now();
            while host.seat.take(&mut host.engine) {}
            counting += from.elapsed();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    counting
}

/// One more call, answered, and the one before that is over.
fn call(host: &mut Host) {
    let i = host.calls;
    host.calls += 1;
    let text = scorer_bench::invite(i);
    let number = format!("+44163296{:04}", i % 1_000);
    let text = text.replace(&number, &format!("+441632{:06}", i.wrapping_mul(7_919) % 1_000_000));
    let header = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    let id = [header("Call-ID"), header("i")].concat();
    inspect(host, &text);
    let about = |id: &str| {
        format!(
            "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: {id}\r\nContent-Length: 0\r\n"
        )
    };
    let via = "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx\r\n";
    inspect(host, &format!("SIP/2.0 200 OK\r\n{via}{}CSeq: 1 INVITE\r\n\r\n", about(&id)));
    host.open.push(id);
    if host.open.len() > 20 {
        let id = host.open.remove(0);
        inspect(host, &format!("BYE sip:c@d SIP/2.0\r\n{via}{}CSeq: 2 BYE\r\n\r\n", about(&id)));
    }
}

fn inspect(host: &mut Host, text: &str) {
    let bytes = udp4(text.as_bytes(), 5060);
    let frame = Frame {
        link: LinkType::Ethernet,
        timestamp: wall(),
        bytes: &bytes,
        wire_length: bytes.len() as u32,
        scan: None,
    };
    host.engine.inspect(&frame, &mut |_| {});
    host.engine.changes().for_each(drop);
    host.seat.tell(&mut host.engine);
}

/// CPU time that a process took.
fn cpu_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    // Linux counts these in hundredths, whatever its own ticks are.
    ticks as f64 / 100.0
}

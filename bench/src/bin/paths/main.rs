//! `paths`: what a verdict costs on its way, in one run beside plain forwarding and
//! beside Kamailio that asks over HTTP or a redirect server. Root; makes its own network
//! namespaces. `SCORER_BINARY` names the scorer that is measured.

mod flow;
mod process;
mod ways;

use anyhow::{Result, ensure};

/// INVITEs a way and round.
const COUNT: u32 = 4_000;
/// A second.
const RATE: u32 = 1_000;
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root");
    process::first_of_all()?;
    println!("{COUNT} INVITEs at {RATE} a second, {ROUNDS} rounds a way, median of the rounds\n");
    latencies()?;
    ways::rates()?;
    ways::others()?;
    ways::idle()?;
    Ok(())
}

/// One way: its name, what it is added to, how it is measured.
type Way = (&'static str, usize, fn() -> Result<flow::Latency>);

fn latencies() -> Result<()> {
    let all: [Way; 8] = [
        ("bridge in the kernel", 0, ways::bridge),
        ("scorer inline, tagging", 0, ways::inline),
        ("scorer inline, tagging, spinning", 0, ways::inline_spinning),
        ("Kamailio alone", 3, ways::router_alone),
        ("Kamailio, HTTP query to scorer tap", 3, ways::router_http),
        ("Kamailio, redirect server Kamailio (no scoring)", 3, ways::router_redirect_peer),
        ("Kamailio, redirect server scorer", 3, ways::router_redirect),
        ("out of band: kernel's stamp to verdict", 0, ways::out_of_band),
    ];
    let mut found = Vec::new();
    for (name, base, measure) in all {
        let mut rounds = (0..ROUNDS).map(|_| measure()).collect::<Result<Vec<_>>>()?;
        rounds.sort_by_key(|latency| latency.p50);
        eprintln!("{name}: {rounds:?}");
        found.push((name, base, rounds[ROUNDS / 2]));
    }
    println!("| way | p50 µs | p99 µs | p99.9 µs | added p50 | added p99 | added p99.9 |");
    println!("|---|---|---|---|---|---|---|");
    let micro = |nanos: u64| nanos as f64 / 1e3;
    for (i, (name, base, latency)) in found.iter().enumerate() {
        let before = found[*base].2;
        let values = [latency.p50, latency.p99, latency.p999].map(micro);
        print!("| {name} | {:.1} | {:.1} | {:.1} |", values[0], values[1], values[2]);
        if i == *base || i + 1 == found.len() {
            println!(" – | – | – |");
        } else {
            let added = [latency.p50, latency.p99, latency.p999]
                .map(micro)
                .into_iter()
                .zip([before.p50, before.p99, before.p999].map(micro))
                .map(|(with, without)| with - without);
            for value in added {
                print!(" {value:.1} |");
            }
            println!();
        }
    }
    let added = |way: usize| micro(found[way].2.p50) - micro(found[found[way].1].2.p50);
    println!(
        "\nThe HTTP query adds {:.0} times, the redirect {:.0} times what inline, spinning, adds (p50).\n",
        added(4) / added(2),
        added(5) / added(2)
    );
    Ok(())
}

//! `scorer cluster`: a secret for it, and how it is.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};

use crate::{
    cluster::{self, Status},
    config::Config,
    hex::hex,
    private,
    records::Archive,
    share,
};

#[derive(Args, Debug)]
pub(super) struct ClusterArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the secret that all hosts of a cluster have; copy it to each of them
    Secret {
        /// File to make; one that is there is not touched
        file: PathBuf,
    },
    /// Tell which hosts are alive, what they told and counted, and how NATS keeps it
    Status {
        /// Configuration file (TOML) of a host of the cluster
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Seconds to listen
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
        wait: u64,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Store the records that the hosts put into JetStream (cluster.records_mib) as objects,
    /// until it is ended; one for a cluster is enough
    Archive {
        /// Configuration file (TOML): that of a host, with a spool folder of its own
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Where: s3://BUCKET/PREFIX (keys, region and endpoint from AWS_… in the environment)
        /// or file:///FOLDER
        #[arg(long, value_name = "URL")]
        to: String,
    },
}

pub(super) fn run(args: &ClusterArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Secret { file } => secret(file),
        What::Archive { config, to } => archive(config, to),
        What::Status { config, wait, json } => status(config, Duration::from_secs(*wait), *json),
    }
}

fn secret(path: &Path) -> anyhow::Result<ExitCode> {
    let text = hex(&share::random::<32>()?) + "\n";
    private::write_new(path, text.as_bytes())
        .with_context(|| format!("cannot make {}", path.display()))?;
    println!("{} is the cluster's secret: copy it to each host (mode 600)", path.display());
    Ok(ExitCode::SUCCESS)
}

fn archive(config: &Path, to: &str) -> anyhow::Result<ExitCode> {
    let config = Config::read(config)?.cluster;
    ensure!(config.is_on(), "no cluster is configured: cluster.servers is empty");
    ensure!(
        config.records_bytes > 0,
        "no records are put into JetStream: cluster.records_mib is 0"
    );
    let archive = Archive::open(to)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            ended = super::ended() => ended?,
            done = cluster::archive(&config, &archive) => done?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// 0 with hosts alive and both streams there, 1 otherwise.
fn status(config: &Path, wait: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let config = Config::read(config)?.cluster;
    ensure!(config.is_on(), "no cluster is configured: cluster.servers is empty");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(cluster::status(&config, wait))?;
    let text = if json { as_json(&status) } else { as_table(&config.name, &status) };
    super::print(text.as_bytes())?;
    let whole = !status.hosts.is_empty() && status.streams.values().all(Option::is_some);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn as_table(name: &str, status: &Status) -> String {
    use std::fmt::Write as _;
    let mut out = format!("cluster {name}: {} hosts alive\n", status.hosts.len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:<20} {:<8} {:>9} {:>10} {:>10} {:>10} {:>6} {:>7}",
        "host", "version", "clock", "told", "counted", "waiting", "lost", "lag"
    );
    for (host, about) in &status.hosts {
        let _ = writeln!(
            out,
            "{host:<20} {:<8} {:>+8.2}s {:>10} {:>10} {:>8} B {:>6} {:>5}ms",
            about.version,
            about.skew,
            about.told,
            about.counted,
            about.spool_bytes,
            about.dropped,
            about.lag_ms
        );
    }
    for (stream, about) in &status.streams {
        let _ = match about {
            Some((messages, bytes, leader)) => {
                let leader = if leader.is_empty() { "one server" } else { leader };
                writeln!(
                    out,
                    "stream {stream}: {messages} messages, {bytes} bytes, led by {leader}"
                )
            }
            None => writeln!(out, "stream {stream}: cannot be had (not made yet, or no majority)"),
        };
    }
    out
}

fn as_json(status: &Status) -> String {
    let hosts: serde_json::Map<_, _> = status
        .hosts
        .iter()
        .map(|(host, about)| {
            let about = serde_json::json!({
                "version": about.version, "run": about.run, "clock_skew_seconds": about.skew,
                "told": about.told, "counted": about.counted, "spool_bytes": about.spool_bytes,
                "lost": about.dropped, "lag_ms": about.lag_ms,
            });
            (host.clone(), about)
        })
        .collect();
    let streams: serde_json::Map<_, _> = status
        .streams
        .iter()
        .map(|(name, about)| {
            let about = about.as_ref().map(|(messages, bytes, leader)| {
                serde_json::json!({"messages": messages, "bytes": bytes, "leader": leader})
            });
            ((*name).to_owned(), about.unwrap_or_default())
        })
        .collect();
    format!("{}\n", serde_json::json!({"hosts": hosts, "streams": streams}))
}

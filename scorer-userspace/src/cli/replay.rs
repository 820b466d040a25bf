//! `scorer replay`.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Common, keeping, summary};
use crate::{
    capture::pcap::{PcapError, Reader},
    engine::Engine,
    features::names,
    model::Model,
    records::{Mode, Recorder, Totals},
};

#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    /// Capture files, scored in this order as one stream
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Add every feature's value to the JSON lines
    #[arg(long)]
    features: bool,
    /// Model on trial: scores all calls in the shadow; the end says how it compares
    #[arg(long, value_name = "FILE")]
    challenger: Option<PathBuf>,
    /// Record the calls, with the packets' times, in this folder; what is replayed twice
    /// is recorded twice
    #[arg(long, value_name = "FOLDER")]
    records: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Output is handed on in pieces of this size.
const BLOCK: usize = 256 << 10;

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let (mut config, model) = args.common.load()?;
    config.style.features = args.features;
    // All of them, before any is scored: a wrong name should not come up after an hour.
    let mut readers = Vec::with_capacity(args.files.len());
    for path in &args.files {
        readers.push(Reader::open(path)?);
    }
    let bytes: u64 = readers.iter().map(Reader::len).sum();
    // A history larger than the captures could fill would cost more to clear than
    // they cost to score. Of a pipe the length is not known.
    if readers.iter().all(|reader| !reader.is_empty()) {
        let enough = (bytes / 2).max(8 << 20) as usize;
        config.engine.history.bytes = config.engine.history.bytes.min(enough);
    }
    let bar = progress(bytes);
    let mut engine = Engine::new(&config.engine, Arc::clone(&model))?;
    if let Some(store) = keeping::kept_certificates(&config.stir)? {
        engine.set_store(Arc::new(store));
    }
    if let Some(path) = &args.challenger {
        let challenger = Arc::new(Model::load(path, &names())?);
        engine.set_models(model, Some(challenger), 1.0);
    }
    // Only where it is asked for: what a capture holds is no part of the live records.
    config.records.folder.clone_from(&args.records);
    let mut recorder = Recorder::start(&config.records, Mode::Replay)?;
    let mut out = Vec::with_capacity(2 * BLOCK);
    out.extend_from_slice(config.style.header().as_bytes());
    let mut stdout = io::stdout().lock();
    let start = Instant::now();
    let mut done = 0;
    let mut cut_short = false;
    for reader in &mut readers {
        let mut next_tick = 0;
        loop {
            match reader.next() {
                Ok(Some(frame)) => {
                    engine.inspect(&frame, &mut |assessment| {
                        config.style.line(assessment, None, &mut out);
                        if let Some(recorder) = &mut recorder {
                            recorder.call(assessment, None);
                        }
                    });
                    if let Some(recorder) = &mut recorder {
                        engine.changes().for_each(|change| recorder.change(change));
                    }
                }
                Ok(None) => break,
                Err(error @ (PcapError::Truncated { .. } | PcapError::Damaged { .. })) => {
                    log::warn!("{error}");
                    cut_short = true;
                    break;
                }
                // Packets of a file's other interfaces may be read on.
                Err(error @ PcapError::LinkType { .. }) => {
                    if !cut_short {
                        log::warn!("{error}; its packets are passed over");
                    }
                    cut_short = true;
                }
                Err(error) => {
                    flush(&mut stdout, &mut out)?;
                    return Err(error.into());
                }
            }
            if out.len() >= BLOCK && !flush(&mut stdout, &mut out)? {
                recorder.map(Recorder::finish);
                return Ok(ExitCode::SUCCESS);
            }
            if reader.position() >= next_tick {
                bar.set_position(done + reader.position());
                next_tick = reader.position() + (1 << 20);
            }
        }
        done += reader.position().max(reader.len());
    }
    engine.settle(None, &mut |assessment| {
        config.style.line(assessment, None, &mut out);
        if let Some(recorder) = &mut recorder {
            recorder.call(assessment, None);
        }
    });
    flush(&mut stdout, &mut out)?;
    let recorded = recorder.map(|mut recorder| {
        engine.changes().for_each(|change| recorder.change(change));
        recorder.finish()
    });
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let packets = engine.packets();
    eprintln!(
        "replayed {} file(s), {} frames, {done} bytes in {seconds:.2} s ({:.0} frames/s)",
        args.files.len(),
        packets.frames,
        packets.frames as f64 / seconds.max(1e-9)
    );
    summary::print(&packets, engine.stats());
    summary::trial(&engine);
    if let Some(Totals { calls, outcomes, lost }) = recorded {
        eprintln!("recorded {calls} calls and {outcomes} outcomes");
        anyhow::ensure!(lost == 0, "{lost} calls and outcomes were not recorded");
    }
    Ok(if cut_short { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Writes and empties `out`; false when the reader has gone away.
fn flush(stdout: &mut impl io::Write, out: &mut Vec<u8>) -> anyhow::Result<bool> {
    let result = stdout.write_all(out).and_then(|()| stdout.flush());
    out.clear();
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true).context("cannot write verdicts to standard output"),
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    bar
}

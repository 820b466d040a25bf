//! `scorer tap`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};

use super::{
    Common,
    live::{self, Source},
};
use crate::tap::{Mode, Tap};

#[derive(Args, Debug)]
pub(super) struct TapArgs {
    /// Interface to tap; may be given several times
    #[arg(short, long = "interface", value_name = "IF")]
    interface: Vec<String>,
    /// Where the XDP program runs: in the driver, in the network stack, or the first that can be
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Save the frames that were looked at, with the kernel's stamps
    #[arg(long, value_name = "FILE.pcap")]
    save: Option<PathBuf>,
    /// Serve Prometheus metrics here, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// BPF object instead of the built-in one: a debug build (`cargo xtask build-ebpf --debug`)
    #[arg(long, value_name = "FILE", hide = true)]
    object: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    Auto,
    Native,
    Generic,
}

pub(super) fn run(args: &TapArgs) -> anyhow::Result<ExitCode> {
    let (mut config, model) = args.common.load()?;
    if !args.interface.is_empty() {
        config.tap.interfaces.clone_from(&args.interface);
    }
    if let Some(mode) = args.mode {
        config.tap.mode = match mode {
            ModeArg::Auto => Mode::Auto,
            ModeArg::Native => Mode::Native,
            ModeArg::Generic => Mode::Generic,
        };
    }
    // Callers choose Call-IDs and numbers.
    config.engine.history.secret = true;
    config.engine.assembler.secret = true;
    config.tap.object.clone_from(&args.object);
    config.metrics = args.metrics.or(config.metrics);
    live::run(&config, &model, args.save.as_deref(), || {
        Ok(Source::Tap(Box::new(Tap::attach(&config.tap)?)))
    })
}

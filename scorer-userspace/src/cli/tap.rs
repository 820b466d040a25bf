//! `scorer tap`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::{
    Common,
    live::{self, Source},
};
use crate::{
    config::Config,
    tap::{Mode, Pins, Tap, TapError},
};

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
    /// Leave the program on its interfaces at the end, so that the gate's rules go on (`scorer gate`)
    #[arg(long)]
    keep: bool,
    /// Take off what --keep has left on the first interface, and end
    #[arg(long, conflicts_with = "keep")]
    remove: bool,
    /// Serve Prometheus metrics here, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// BPF object instead of the built-in one: a debug build (`cargo xtask build-ebpf --debug`)
    #[arg(long, value_name = "FILE", hide = true)]
    object: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Where XDP programs run.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeArg {
    Auto,
    Native,
    Generic,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Auto => Self::Auto,
            ModeArg::Native => Self::Native,
            ModeArg::Generic => Self::Generic,
        }
    }
}

pub(super) fn run(args: &TapArgs) -> anyhow::Result<ExitCode> {
    let (mut config, model) = args.common.load()?;
    if !args.interface.is_empty() {
        config.tap.interfaces.clone_from(&args.interface);
    }
    if let Some(mode) = args.mode {
        config.tap.mode = mode.into();
    }
    if args.remove {
        return remove(&config);
    }
    if args.keep {
        config.tap.keep = Some(config.inline.pins.clone());
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

fn remove(config: &Config) -> anyhow::Result<ExitCode> {
    let Some(first) = config.tap.interfaces.first() else {
        return Err(TapError::NoInterface.into());
    };
    let root = &config.inline.pins;
    let Some(pins) = Pins::existing(root, &format!("tap-{first}")) else {
        bail!("`scorer tap --keep` has left nothing on {first} in {}", root.display());
    };
    let folder = pins.folder().to_owned();
    pins.remove().with_context(|| format!("cannot remove {}", folder.display()))?;
    log::info!("the program was taken off");
    Ok(ExitCode::SUCCESS)
}

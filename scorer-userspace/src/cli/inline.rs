//! `scorer inline`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::Args;

use super::{
    Common,
    live::{self, Source},
    tap::ModeArg,
};
use crate::inline::{Inline, Way};

#[derive(Args, Debug)]
pub(super) struct InlineArgs {
    /// Interface towards the carrier, of two with this host between them
    #[arg(long, value_name = "IF", requires = "core", conflicts_with = "nic")]
    carrier: Option<String>,
    /// Interface towards the core
    #[arg(long, value_name = "IF", requires = "carrier")]
    core: Option<String>,
    /// Interface towards the carrier, where the router is on this host
    #[arg(long, value_name = "IF", requires = "local")]
    nic: Option<String>,
    /// INVITEs go on to this host's stack
    #[arg(long, requires = "nic")]
    local: bool,
    /// Score and decide, change nothing
    #[arg(long)]
    observe: bool,
    /// Take the programs off the interfaces and end; between two interfaces nothing is forwarded then
    #[arg(long)]
    remove: bool,
    /// Where the XDP programs run: in the driver, in the network stack, or the first that can be
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

pub(super) fn run(args: &InlineArgs) -> anyhow::Result<ExitCode> {
    let (mut config, model) = args.common.load()?;
    match (&args.carrier, &args.core, &args.nic) {
        (Some(carrier), Some(core), None) => {
            config.inline.carrier.clone_from(carrier);
            config.inline.way = Way::Core(core.clone());
        }
        (None, None, Some(nic)) => {
            config.inline.carrier.clone_from(nic);
            config.inline.way = Way::Local;
        }
        _ if config.inline.carrier.is_empty() => bail!(
            "no interfaces: give --carrier IF --core IF, or --nic IF --local where the router is \
             on this host (or inline.carrier and inline.core in the configuration)"
        ),
        _ => {}
    }
    if args.remove {
        let carrier = &config.inline.carrier;
        if Inline::remove(&config.inline)? {
            log::info!("the programs of inline mode on {carrier} were taken off");
            return Ok(ExitCode::SUCCESS);
        }
        bail!("inline mode on {carrier} has left nothing in {}", config.inline.pins.display());
    }
    config.inline.observe |= args.observe;
    // What policy would do is said in the verdicts then.
    config.engine.env.observe |= config.inline.observe;
    if let Some(mode) = args.mode {
        config.tap.mode = mode.into();
    }
    // Callers choose Call-IDs and numbers.
    config.engine.history.secret = true;
    config.engine.assembler.secret = true;
    config.tap.object.clone_from(&args.object);
    config.metrics = args.metrics.or(config.metrics);
    live::run(&config, &model, args.save.as_deref(), || {
        Ok(Source::Inline(Box::new(Inline::attach(&config.inline, &config.tap)?)))
    })
}

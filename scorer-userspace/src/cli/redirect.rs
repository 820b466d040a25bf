//! `scorer redirect`.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use clap::Args;

use super::{
    Common,
    live::{self, Source},
};
use crate::verdict::redirect::{Alone, Listener, RedirectStats, Server};

#[derive(Args, Debug)]
pub(super) struct RedirectArgs {
    /// Address and UDP port to answer INVITEs on, such as 127.0.0.1:5070
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Serve Prometheus metrics here, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &RedirectArgs) -> anyhow::Result<ExitCode> {
    let (mut config, model) = args.common.load()?;
    config.redirect.listen = args.listen.or(config.redirect.listen);
    config.metrics = args.metrics.or(config.metrics);
    // Callers choose Call-IDs and numbers.
    config.engine.history.secret = true;
    config.engine.assembler.secret = true;
    // A router's second request is no mirrored copy of its first.
    config.engine.assembler.mirror_window = std::time::Duration::ZERO;
    // Ours: no other thread is to open one beside.
    let redirect = std::mem::take(&mut config.redirect);
    live::run(&config, &model, None, || {
        let listener = Listener::bind(&redirect)?;
        let local = listener.local();
        let stats = Arc::new(RedirectStats::default());
        let server = Server::new(redirect, local, Arc::clone(&stats));
        let alone = Alone::new(listener, server, config.deliver.recent);
        let about = format!("answering INVITEs on {local}");
        Ok(Source::Redirect(Some(Box::new(alone)), about, stats))
    })
}

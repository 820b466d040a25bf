//! `scorer serve`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;

use super::{doctor, keeping};
use crate::{
    api::{About, ApiStats, Server},
    config::Config,
    features::names,
    model::Model,
};

/// Where it is served unless said otherwise.
const USUAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8_600);

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Folder of the records, instead of the configured one
    #[arg(long, value_name = "FOLDER")]
    records: Option<PathBuf>,
    /// Configuration file (TOML); `scorer config example` prints one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port, instead of the configured one; 127.0.0.1:8600 where none is
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if let Some(records) = &args.records {
        config.records.folder = Some(records.clone());
    }
    config.records.folder.as_ref().context(
        "where are the records? give --records FOLDER, or --config FILE with records.folder",
    )?;
    config.api.listen = args.listen.or(config.api.listen);
    if !config.api.is_on() {
        config.api.listen = Some(USUAL);
    }
    let model = match &config.model {
        Some(path) => Model::load(path, &names())?,
        None => Model::builtin(&names()).context("the built-in model")?,
    };
    let about = About {
        mode: "serve",
        interfaces: Vec::new(),
        models: keeping::models(&config, &Arc::new(model))?,
        doctor: doctor::found,
    };
    let server = Server::start(&config, about, None, Arc::new(ApiStats::default()))?;
    if let Some(address) = server.address() {
        eprintln!("serving on {address}; end with Ctrl-C");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(super::ended())?;
    drop(server);
    Ok(ExitCode::SUCCESS)
}

//! `scorer consortium hub`.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{
    private,
    share::{
        Mode,
        hub::{Hub, HubServer, Settings, serve},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum HubCommand {
    /// Found a consortium: certificates, the first epoch, nats.conf
    Init(InitArgs),
    /// Make a member's bundle; again for one whose bundle is lost or stolen
    Invite(InviteArgs),
    /// Run the hub
    Run(RunArgs),
    /// Begin the next epoch now: the keys before the current ones are forgotten
    Rotate {
        /// The hub's folder
        #[arg(long, value_name = "FOLDER")]
        folder: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// Folder to make
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Name, of a-z, 0-9 and -
    #[arg(long, value_name = "NAME")]
    name: String,
    /// How pseudonyms are made
    #[arg(long, value_enum, default_value = "keyed")]
    mode: Mode,
    /// The hub as members reach it
    #[arg(long, value_name = "https://HOST:PORT")]
    url: String,
    /// The NATS server as members reach it
    #[arg(long, value_name = "tls://HOST:PORT")]
    nats: String,
    /// Days that an epoch of pseudonyms lasts; events should not hold longer
    #[arg(long, value_name = "DAYS", default_value = "90")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_650))]
    epoch_days: u32,
    /// Blind evaluations of a member in a minute
    #[arg(long, value_name = "COUNT", default_value = "6000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    evaluations: u32,
}

#[derive(Args, Debug)]
pub(super) struct InviteArgs {
    /// Name of the member, or a pseudonym, of a-z, 0-9 and -
    #[arg(value_name = "MEMBER")]
    member: String,
    /// The hub's folder
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// How much others should trust it, per cent; they may say otherwise
    #[arg(long, value_name = "PERCENT", default_value = "100")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    trust: u8,
    /// Where the bundle goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The hub's folder
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
}

pub(super) fn run(command: &HubCommand) -> anyhow::Result<ExitCode> {
    match command {
        HubCommand::Init(args) => {
            let settings = Settings {
                name: args.name.clone(),
                mode: args.mode,
                url: args.url.clone(),
                nats: args.nats.clone(),
                epoch_days: args.epoch_days,
                evaluations: args.evaluations,
            };
            let hub = Hub::create(&args.folder, &settings)?;
            let folder = hub.folder().display();
            eprintln!(
                "consortium {} ({}) in {folder}. Keep the folder secret and backed up. Next:\n  \
                 nats-server -c {folder}/nats.conf\n  \
                 scorer consortium hub run --folder {folder}\n  \
                 scorer consortium hub invite MEMBER --folder {folder} -o MEMBER.bundle",
                args.name,
                args.mode.name()
            );
        }
        HubCommand::Invite(args) => invite(args)?,
        HubCommand::Rotate { folder } => {
            eprintln!("epoch {} has begun", Hub::open(folder)?.rotate()?);
        }
        HubCommand::Run(args) => return serve_hub(args),
    }
    Ok(ExitCode::SUCCESS)
}

fn invite(args: &InviteArgs) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", args.output.display());
    // A key stands in it; and nothing is written over.
    let mut file = private::create_new(&args.output).with_context(cannot)?;
    let invited = Hub::open(&args.folder)
        .and_then(|hub| hub.invite(&args.member, args.trust))
        .inspect_err(|_| drop(std::fs::remove_file(&args.output)))?;
    let text = serde_json::to_vec_pretty(&invited.bundle)?;
    file.write_all(&text).and_then(|()| file.sync_all()).with_context(cannot)?;
    let member = &args.member;
    let again = if invited.again { " again; its old bundle is worth nothing" } else { "" };
    eprintln!(
        "{member} is invited{again}. {} is secret: hand it over safely, for\n  \
         scorer consortium join BUNDLE --folder FOLDER",
        args.output.display()
    );
    Ok(())
}

fn serve_hub(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let hub = Hub::open(&args.folder)?;
    super::runtime()?.block_on(async {
        let server = HubServer::bind(hub, args.listen).await?;
        if let Some(address) = server.address() {
            log::info!("the hub answers on https://{address}");
        }
        tokio::select! {
            ended = crate::cli::ended() => ended?,
            () = serve(server) => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

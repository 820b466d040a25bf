//! `scorer doctor` (stub for now)
use std::process::ExitCode;
#[derive(clap::Args, Debug)]
pub(super) struct DoctorArgs {}
pub(super) fn run(_args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("x")
}

//! Builds the BPF object.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    run::{cargo, check, output, root, say},
    setup,
};

#[derive(Args, Debug)]
pub(crate) struct EbpfArgs {
    /// Build apart and fail unless the committed object is what comes out
    #[arg(long)]
    pub(crate) check: bool,
    /// With aya-log; written to target/ and never committed
    #[arg(long, conflicts_with = "check")]
    pub(crate) debug: bool,
}

/// Debian's compiler: its LLVM is bpf-linker's, and it has core for BPF.
const RUSTC: &str = "/usr/bin/rustc";
const OBJCOPY: &str = "/usr/lib/llvm-22/bin/llvm-objcopy";
const TARGET: &str = "bpfel-unknown-none";

pub(crate) fn run(args: &EbpfArgs) -> Result<()> {
    setup::run(setup::Purpose::BuildEbpf)?;
    let built = build(args.debug)?;
    if args.debug {
        say(&format!("with aya-log: {}", built.display()));
        return Ok(());
    }
    let committed = root().join("scorer-userspace/src/tap/scorer.bpf.o");
    if !args.check {
        fs::copy(&built, &committed)?;
        say(&format!("wrote {}", committed.display()));
        return Ok(());
    }
    if fs::read(&built)? != fs::read(&committed).unwrap_or_default() {
        bail!(
            "the committed object is not what the sources give; run `cargo xtask build-ebpf` and \
             commit it.\nBuilt with {}and {}",
            output(Command::new(RUSTC).arg("--version")).unwrap_or_default(),
            output(Command::new("bpf-linker").arg("--version")).unwrap_or_default()
        );
    }
    say("the committed BPF object is what the sources give");
    Ok(())
}

/// Builds it; where it is.
fn build(debug: bool) -> Result<PathBuf> {
    let root = root();
    // No path of this machine may be in the object: it is compared byte for byte.
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let flags = [
        "-Clinker=bpf-linker".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        // x86_64 and aarch64 load words from any address; without this the
        // compiler puts every unaligned word together byte by byte.
        "-Ctarget-feature=+alu32,+allows-misaligned-mem-access".to_owned(),
        format!("--remap-path-prefix={}=/scorer", root.display()),
        format!("--remap-path-prefix={home}=/cargo"),
    ];
    let target_dir = root.join("target/ebpf");
    let mut command = cargo(["build", "--quiet", "--package", "scorer-ebpf", "--profile", "ebpf"]);
    command.args(["--target", TARGET, "--target-dir"]).arg(&target_dir);
    if debug {
        command.args(["--features", "log"]);
    }
    // aya-ebpf names an unstable feature for the target, which needs no nightly
    // but this word.
    command.env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    // Its warnings are about the target features, which are named on purpose:
    // they are shown only when it fails.
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the BPF object does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let linked = target_dir.join(TARGET).join("ebpf/scorer-ebpf");
    let stripped = linked.with_extension("o");
    strip(&linked, &stripped)?;
    Ok(stripped)
}

/// Takes the debug information out; the BTF stays.
fn strip(from: &Path, to: &Path) -> Result<()> {
    check(Command::new(OBJCOPY).arg("--strip-debug").arg(from).arg(to))
}

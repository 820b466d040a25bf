//! Everything CI runs.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    ebpf,
    run::{cargo, check, is_root, output, root, say},
    setup, train,
};

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Passed to `cargo test`
    #[arg(last = true)]
    filters: Vec<String>,
}

pub(crate) fn run(args: &TestArgs) -> Result<()> {
    let mut times = Vec::new();
    let mut step = |name: &'static str, work: &mut dyn FnMut() -> Result<()>| {
        say(name);
        let start = Instant::now();
        let result = work().context(name);
        times.push((name, start.elapsed()));
        result
    };
    step("install what tests need", &mut || setup::run(setup::Purpose::Test))?;
    step("formatting", &mut || check(&mut cargo(["fmt", "--all", "--check"])))?;
    step("the BPF object is what the sources give", &mut || {
        ebpf::run(&ebpf::EbpfArgs { check: true, debug: false })
    })?;
    step("build", &mut || {
        check(&mut cargo(["build", "--quiet", "--package", "scorer-userspace"]))
    })?;
    step("tests", &mut || {
        // One that fails does not hide what the others say.
        let mut tests = cargo(["test", "--no-fail-fast", "--package"]);
        tests.args(["scorer-common", "--package", "scorer-userspace", "--package", "scorer-tests"]);
        if is_root() {
            // Where they can run, skipping them is a failure.
            tests.env("SCORER_REQUIRE_ROOT_TESTS", "1");
        }
        tests.env("PATH", setup::path());
        check(tests.arg("--").args(&args.filters))
    })?;
    step("training, a trial", &mut || train::trial())?;
    step("lints", &mut || {
        check(&mut cargo(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]))
    })?;
    for (name, time) in &times {
        say(&format!("{:>6} s  {name}", time.as_secs()));
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    say(&format!("all passed in {} s", total.as_secs()));
    Ok(())
}

/// Writes generated documents. The tests say when they are stale.
pub(crate) fn docs() -> Result<()> {
    check(&mut cargo(["build", "--quiet", "--package", "scorer-userspace"]))?;
    let scorer = root().join("target/debug/scorer");
    for (file, args) in [
        ("docs/configuration.md", &["config", "markdown"][..]),
        ("docs/features.md", &["features", "--format", "markdown"]),
        ("docs/metrics.md", &["metrics"]),
        ("docs/records-schema.md", &["records", "schema"]),
        ("packaging/scorer.toml", &["config", "example"]),
    ] {
        let text = output(std::process::Command::new(&scorer).args(args))
            .with_context(|| format!("scorer {} failed", args.join(" ")))?;
        fs::write(root().join(file), text)?;
        say(&format!("wrote {file}"));
    }
    Ok(())
}

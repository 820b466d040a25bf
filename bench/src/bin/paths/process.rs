//! Processes that are measured: their priority and their CPU time.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Puts this process, and all that it starts, before other work on the machine, which
/// must not be measured: the peers as well as the scorer.
pub(crate) fn first_of_all() -> Result<()> {
    let pid = std::process::id().to_string();
    let mut renice = Command::new("renice");
    renice.args(["-n", "-20", "-p", &pid]).stdout(Stdio::null());
    ensure!(renice.status().context("renice (bsdutils) is needed")?.success(), "no priority");
    Ok(())
}

/// CPU time of a process so far, seconds.
pub(crate) fn cpu(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything.
    let rest = &text[text.rfind(')').context("a stat line")? + 2..];
    let mut fields = rest.split(' ').skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<f64>().ok()).context("a time");
    // USER_HZ is 100 on every Linux that runs this.
    Ok((next()? + next()?) / 100.0)
}

/// Datagrams that the UDP of this thread's network namespace took, read or not.
pub(crate) fn datagrams() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (names, values) = (lines.next().context("names")?, lines.next().context("values")?);
    let value = |name: &str| {
        let at = names.split(' ').position(|known| known == name)?;
        values.split(' ').nth(at)?.parse::<u64>().ok()
    };
    Ok(value("InDatagrams").context("a count")? + value("InErrors").context("a count")?)
}

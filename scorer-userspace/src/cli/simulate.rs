//! `scorer simulate`.

use std::{
    fmt::Write as _,
    fs::File,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use clap::Args;

use crate::{
    capture::pcap::Writer,
    simulate::{Family, Interface, Label, Mix, Packet, Simulation, Sink, Uac, write_site},
    tap::wall,
};

#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// Calls to make
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    calls: u64,
    /// The same seed gives the same traffic
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Knobs: rates, families, drift (TOML; docs/simulate.md)
    #[arg(long, value_name = "FILE")]
    mix: Option<PathBuf>,
    /// Capture to write (pcap); `-` for standard output
    #[arg(long, value_name = "FILE", required_unless_present_any = ["site", "families", "to", "interface"])]
    out: Option<PathBuf>,
    /// Labels to write (CSV); beside the capture when not given
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Write the simulated operator's configuration, tables and certificates to this folder
    #[arg(long, value_name = "FOLDER")]
    site: Option<PathBuf>,
    /// Make the calls for real, to this address of a lab
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "out")]
    to: Option<SocketAddr>,
    /// Address to call from
    #[arg(long, value_name = "ADDR:PORT", requires = "to")]
    from: Option<SocketAddr>,
    /// Send the frames in their time on this interface of a lab (veth, dummy), as a mirror port
    /// would show them; it begins now
    #[arg(long, value_name = "IF", conflicts_with_all = ["out", "to"])]
    interface: Option<String>,
    /// Seconds of traffic a second, with --to or --interface
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", conflicts_with = "out")]
    speed: f64,
    /// List the families of traffic
    #[arg(long)]
    families: bool,
}

pub(super) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    if args.families {
        let mut text = String::new();
        for family in Family::ALL {
            let kind = if family.fraud() { "fraud" } else { "genuine" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<18} {kind:<8} {}", family.name(), family.what());
        }
        return super::print(text.as_bytes());
    }
    let mix = match &args.mix {
        Some(path) => Mix::read(path)?,
        None => Mix::default(),
    };
    if let Some(folder) = &args.site {
        write_site(folder, &mix, args.seed)?;
        eprintln!("wrote {}", folder.join("scorer.toml").display());
    }
    if let Some(to) = args.to {
        return live(args, mix, to);
    }
    if let Some(interface) = &args.interface {
        return send(args, mix, interface);
    }
    let Some(out) = &args.out else { return Ok(ExitCode::SUCCESS) };
    let simulation = Simulation::new(mix, args.seed, args.calls)?;
    let start = Instant::now();
    let to_stdout = out.as_os_str() == "-";
    let cannot = |path: &PathBuf| format!("cannot write {}", path.display());
    let packets: Box<dyn io::Write> = if to_stdout {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(out).with_context(|| cannot(out))?)
    };
    let labels = match &args.labels {
        Some(path) => Some(path.clone()),
        None if to_stdout => None,
        None => Some(out.with_extension("csv")),
    };
    let labels = labels.as_deref().map(labels_file).transpose()?;
    let mut files = Files { packets: Writer::new(packets)?, labels };
    let totals = match simulation.run(&mut files).and_then(|totals| files.flush().map(|()| totals))
    {
        Ok(totals) => totals,
        // Who reads has seen enough.
        Err(error) if to_stdout && error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error).with_context(|| cannot(out)),
    };
    eprintln!(
        "simulated {} calls ({} fraud), {} messages over {} s of traffic, in {:.1} s",
        totals.calls,
        totals.fraud,
        totals.messages,
        totals.seconds,
        start.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

fn labels_file(path: &Path) -> anyhow::Result<csv::Writer<File>> {
    let cannot = || format!("cannot write {}", path.display());
    let mut file = csv::Writer::from_path(path).with_context(cannot)?;
    file.write_record(["call_id", "label", "family", "profile", "stack", "trunk"])
        .with_context(cannot)?;
    Ok(file)
}

fn speed(args: &SimulateArgs) -> anyhow::Result<f64> {
    anyhow::ensure!(
        args.speed.is_finite() && args.speed > 0.0,
        "--speed is {}; it must be above 0",
        args.speed
    );
    Ok(args.speed)
}

/// Sends the frames in their time.
fn send(args: &SimulateArgs, mut mix: Mix, name: &str) -> anyhow::Result<ExitCode> {
    let driver = super::doctor::driver_of(name).unwrap_or_else(|| "nothing known".into());
    let mut sink = Sending {
        interface: Interface::open(name, &driver, speed(args)?)?,
        labels: args.labels.as_deref().map(labels_file).transpose()?,
    };
    // Dates in messages and signatures are those of now.
    mix.start = wall().to_string();
    let totals = Simulation::new(mix, args.seed, args.calls)?.run(&mut sink)?;
    if let Some(labels) = &mut sink.labels {
        labels.flush()?;
    }
    eprintln!(
        "sent {} calls ({} fraud), {} messages; {} frames were not taken",
        totals.calls, totals.fraud, totals.messages, sink.interface.refused
    );
    Ok(ExitCode::SUCCESS)
}

/// Frames on an interface, labels in a file.
struct Sending {
    interface: Interface,
    labels: Option<csv::Writer<File>>,
}

impl Sink for Sending {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        self.interface.packet(packet)
    }

    fn label(&mut self, label: &Label<'_>) -> io::Result<()> {
        self.labels.as_mut().map_or(Ok(()), |file| write_label(file, label))
    }
}

/// Makes the calls for real.
fn live(args: &SimulateArgs, mix: Mix, to: SocketAddr) -> anyhow::Result<ExitCode> {
    let speed = speed(args)?;
    let mut labels = args.labels.as_deref().map(labels_file).transpose()?;
    let uac = Uac::new(args.from, to, speed)?;
    let mut each = |label: &Label<'_>| match &mut labels {
        Some(file) => write_label(file, label),
        None => Ok(()),
    };
    let totals = uac.run(mix, args.seed, args.calls, &mut each)?;
    if let Some(file) = &mut labels {
        file.flush()?;
    }
    let mut failed: Vec<_> = totals.failed.iter().collect();
    failed.sort_unstable();
    eprintln!(
        "made {} calls: {} answered, {} cancelled, {} unanswered, {} sent again; refused: {failed:?}",
        totals.calls, totals.answered, totals.cancelled, totals.unanswered, totals.again
    );
    let all = totals.unanswered == 0;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn write_label(file: &mut csv::Writer<File>, label: &Label<'_>) -> io::Result<()> {
    file.write_record([
        label.call_id,
        if label.family.fraud() { "fraud" } else { "genuine" },
        label.family.name(),
        &format!("{:016x}", label.actor),
        label.stack,
        label.trunk,
    ])
    .map_err(io::Error::other)
}

struct Files {
    packets: Writer<Box<dyn io::Write>>,
    labels: Option<csv::Writer<File>>,
}

impl Files {
    fn flush(&mut self) -> io::Result<()> {
        self.packets.flush()?;
        self.labels.as_mut().map_or(Ok(()), csv::Writer::flush)
    }
}

impl Sink for Files {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        packet.frames(&mut |frame| self.packets.write(frame))
    }

    fn label(&mut self, label: &Label<'_>) -> io::Result<()> {
        self.labels.as_mut().map_or(Ok(()), |file| write_label(file, label))
    }
}

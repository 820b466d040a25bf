//! `scorer vectors`: what a model is trained on.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use scorer_common::verdict::{Tag, Tags};

use super::{Common, keeping};
use crate::{
    capture::{Frame, pcap::Reader},
    engine::{Assessment, Engine},
    features,
    labels::Labels,
    simulate::{Label, Mix, Packet, Simulation, Sink},
    time::Timestamp,
};

#[derive(Args, Debug)]
pub(super) struct VectorsArgs {
    /// Capture files
    #[arg(value_name = "FILE", required_unless_present = "simulate", conflicts_with = "simulate")]
    files: Vec<PathBuf>,
    /// Labels of their calls: the file of `scorer label`, or CSV (call_id, label, and perhaps
    /// weight, family, profile, stack, trunk)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Simulate so many calls instead
    #[arg(long, value_name = "N")]
    simulate: Option<u64>,
    /// Seed of the simulation
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Knobs of the simulation
    #[arg(long, value_name = "FILE")]
    mix: Option<PathBuf>,
    /// Folder for vectors.npy (float32, a row a call), calls.csv and features.txt
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Share of calls not labelled as fraud that is kept; each then weighs as much more
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    keep: f64,
    /// Leave out the first part of the calls, while the history is empty (simulation only)
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    skip: f64,
    /// Share of fraudulent calls that are reported to the history afterwards
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    reported: f64,
    /// Seconds until then
    #[arg(long, default_value_t = 3_600, value_name = "S")]
    delay: u64,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &VectorsArgs) -> anyhow::Result<ExitCode> {
    for (name, share) in
        [("--keep", args.keep), ("--skip", args.skip), ("--reported", args.reported)]
    {
        anyhow::ensure!((0.0..=1.0).contains(&share), "{name} is {share}; it must be from 0 to 1");
    }
    let (config, model) = args.common.load()?;
    let mut engine = Engine::new(&config.engine, model)?;
    if let Some(store) = keeping::kept_certificates(&config.stir)? {
        engine.set_store(Arc::new(store));
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let mut run = Run {
        engine,
        rows: Rows::create(&args.out, args)?,
        truth: HashMap::new(),
        reports: VecDeque::new(),
        reported: args.reported,
        delay: Duration::from_secs(args.delay),
    };
    match args.simulate {
        Some(calls) => {
            let mix = args.mix.as_deref().map_or_else(|| Ok(Mix::default()), Mix::read)?;
            run.rows.skip = (calls as f64 * args.skip) as u64;
            Simulation::new(mix, args.seed, calls)?.run(&mut run)?;
        }
        None => run.captures(args)?,
    }
    let (rows, fraud) = run.rows.finish()?;
    eprintln!("wrote {rows} rows ({fraud} fraud) to {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// The truth about a call, as far as it is known.
#[derive(Clone, Debug, Default, serde::Deserialize)]
struct Truth {
    // Not flattened into a struct around it: serde would take a profile of digits alone
    // for a number.
    #[serde(default)]
    call_id: String,
    label: String,
    #[serde(default)]
    family: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    stack: String,
    #[serde(default)]
    trunk: String,
    #[serde(default)]
    weight: Option<f64>,
}

fn read_labels(path: &Path) -> anyhow::Result<HashMap<Box<[u8]>, Truth>> {
    let name = path.display();
    let mut truth = HashMap::new();
    let mut magic = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read(&mut magic));
    read.with_context(|| format!("cannot read {name}"))?;
    if magic == *b"SQLite format 3\0" {
        Labels::open(path)?.counting(|label| {
            let of = Truth {
                label: if label.fraud { "fraud" } else { "genuine" }.into(),
                weight: Some(label.weight),
                ..Truth::default()
            };
            truth.insert(label.call_id.into_bytes().into(), of);
        })?;
        return Ok(truth);
    }
    let mut reader = csv::Reader::from_path(path).with_context(|| format!("cannot read {name}"))?;
    for record in reader.deserialize() {
        let mut of: Truth = record.with_context(|| format!("{name}"))?;
        let call_id = std::mem::take(&mut of.call_id);
        anyhow::ensure!(!call_id.is_empty(), "{name}: a label without call_id");
        anyhow::ensure!(
            matches!(&*of.label, "fraud" | "genuine"),
            "{name}: the label of {call_id} is {:?}; it must be fraud or genuine",
            of.label
        );
        truth.insert(call_id.into_bytes().into(), of);
    }
    Ok(truth)
}

struct Run {
    engine: Engine,
    rows: Rows,
    truth: HashMap<Box<[u8]>, Truth>,
    /// Calls to be reported, soonest first.
    reports: VecDeque<(Timestamp, Box<[u8]>)>,
    reported: f64,
    delay: Duration,
}

impl Run {
    fn captures(&mut self, args: &VectorsArgs) -> anyhow::Result<()> {
        if let Some(path) = &args.labels {
            self.truth = read_labels(path)?;
        }
        for path in &args.files {
            let mut reader = Reader::open(path)?;
            while let Some(frame) = reader.next()? {
                self.frame(&frame)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let Self { engine, rows, truth, reports, reported, delay } = self;
        while let Some((_, call)) = reports.pop_front_if(|(due, _)| *due <= frame.timestamp) {
            engine.label(&call, true, 0, frame.timestamp);
        }
        let mut result = Ok(());
        engine.inspect(frame, &mut |assessment| {
            let about = truth.remove(assessment.call_id).unwrap_or_default();
            let fraud = about.label == "fraud";
            if fraud && share_of(assessment.call_id, 1) < *reported {
                reports.push_back((frame.timestamp.plus(*delay), assessment.call_id.into()));
            }
            let row = rows.add(assessment, &about);
            if result.is_ok() {
                result = row;
            }
        });
        result
    }
}

impl Sink for Run {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        packet.frames(&mut |frame| self.frame(frame))
    }

    fn label(&mut self, label: &Label<'_>) -> io::Result<()> {
        let truth = Truth {
            call_id: String::new(),
            label: if label.family.fraud() { "fraud" } else { "genuine" }.into(),
            family: label.family.name().into(),
            profile: format!("{:016x}", label.actor),
            stack: label.stack.into(),
            trunk: label.trunk.into(),
            weight: None,
        };
        self.truth.insert(label.call_id.as_bytes().into(), truth);
        Ok(())
    }
}

/// A number from 0 to 1 that is always the same for a call.
fn share_of(call_id: &[u8], purpose: u64) -> f64 {
    use std::hash::BuildHasher as _;
    let hash = foldhash::fast::FixedState::with_seed(purpose).hash_one(call_id);
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// Length of the header of vectors.npy, bytes: the number of rows is filled in last.
const HEAD: usize = 128;

/// The files that are written.
struct Rows {
    vectors: BufWriter<File>,
    calls: csv::Writer<File>,
    keep: f64,
    skip: u64,
    seen: u64,
    written: u64,
    fraud: u64,
}

impl Rows {
    fn create(folder: &Path, args: &VectorsArgs) -> anyhow::Result<Self> {
        let at = |name: &str| folder.join(name);
        let cannot = |name: &str| format!("cannot write {}", at(name).display());
        let vectors = File::create(at("vectors.npy")).with_context(|| cannot("vectors.npy"))?;
        let mut vectors = BufWriter::with_capacity(1 << 20, vectors);
        vectors.write_all(&[0; HEAD])?;
        let mut calls =
            csv::Writer::from_path(at("calls.csv")).with_context(|| cannot("calls.csv"))?;
        calls.write_record([
            "call_id",
            "time",
            "label",
            "family",
            "profile",
            "stack",
            "trunk",
            "weight",
            "probability",
            "tags",
        ])?;
        fs::write(at("features.txt"), features::names().join("\n") + "\n")
            .with_context(|| cannot("features.txt"))?;
        Ok(Self { vectors, calls, keep: args.keep, skip: 0, seen: 0, written: 0, fraud: 0 })
    }

    fn add(&mut self, assessment: &Assessment<'_>, truth: &Truth) -> io::Result<()> {
        self.seen += 1;
        let fraud = truth.label == "fraud";
        let kept = fraud || share_of(assessment.call_id, 2) < self.keep;
        if self.seen <= self.skip || !kept {
            return Ok(());
        }
        self.vectors.write_all(bytemuck::cast_slice(assessment.features))?;
        let time = assessment.verdict.timestamp as f64 / 1e9;
        let weight = truth.weight.unwrap_or(1.0) / if fraud { 1.0 } else { self.keep };
        let tags = Tags(assessment.verdict.tags);
        self.calls
            .write_record([
                &*String::from_utf8_lossy(assessment.call_id),
                &format!("{time:.3}"),
                &truth.label,
                &truth.family,
                &truth.profile,
                &truth.stack,
                &truth.trunk,
                &format!("{weight}"),
                &format!("{:.6}", assessment.verdict.probability),
                &tags.iter().map(Tag::name).collect::<Vec<_>>().join(" "),
            ])
            .map_err(io::Error::other)?;
        self.written += 1;
        self.fraud += u64::from(fraud);
        Ok(())
    }

    /// Rows and fraudulent ones.
    fn finish(mut self) -> io::Result<(u64, u64)> {
        self.calls.flush()?;
        // The format of numpy.lib.format, version 1.0: a little-endian file is read
        // everywhere, and written by little-endian machines only.
        let mut head = b"\x93NUMPY\x01\x00".to_vec();
        head.extend_from_slice(&(HEAD as u16 - 10).to_le_bytes());
        let about = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
            self.written,
            features::COUNT
        );
        head.extend_from_slice(about.as_bytes());
        head.resize(HEAD - 1, b' ');
        head.push(b'\n');
        self.vectors.seek(SeekFrom::Start(0))?;
        self.vectors.write_all(&head)?;
        self.vectors.flush()?;
        Ok((self.written, self.fraud))
    }
}

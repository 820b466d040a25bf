//! Whom something is told of: a number, a call, a profile, a case.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use clap::Args;

use crate::{
    cases::Store,
    cli::{looking::Calls, recorded},
    config::Config,
    features::{Fingerprint, names},
    model::Model,
    number::{Number, mask},
    profiles::{CallRow, Inquiry, parse_id},
    share::pseudonym::Marks,
};

/// Callers that one command tells of at most.
const MOST: usize = 100;

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Named {
    /// A caller's own number
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    number: Option<String>,
    /// Call-ID of one of the caller's calls, in --capture or --records
    #[arg(long, value_name = "CALL_ID")]
    call_id: Option<String>,
    /// A profile (16 digits): the numbers of its calls, in --capture or --records
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// A case of `lists.store`: the numbers of its profiles' calls
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Whom {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    pub(super) from: Calls,
}

/// One caller.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) marks: Marks,
    /// Masked.
    pub(super) about: String,
    /// Calls that are known of it.
    pub(super) calls: u32,
}

/// Calls, with their marks where captures tell.
struct Read {
    inquiry: Inquiry,
    marks: HashMap<u64, Marks>,
    home: Option<u16>,
}

impl Whom {
    pub(super) fn find(&self, config: &Config) -> anyhow::Result<Vec<Caller>> {
        let home = config.engine.env.home_country;
        let named = &self.named;
        if let Some(text) = &named.number {
            let number = Number::parse(text.as_bytes(), home)
                .with_context(|| format!("{text:?} is no number; write +441632960001"))?;
            let marks = Marks { network: Some(number), ..Marks::default() };
            return Ok(vec![Caller { marks, about: about(&marks), calls: 0 }]);
        }
        let read = self.read(config)?;
        if let Some(call_id) = &named.call_id {
            let rows = read.inquiry.calls();
            let row = rows.iter().find(|row| row.call_id == *call_id).with_context(|| {
                format!("{call_id} is none of the {} calls looked at", rows.len())
            })?;
            let marks = read.marks(row);
            return Ok(vec![Caller { marks, about: about(&marks), calls: 1 }]);
        }
        let profiles =
            match (&named.profile, &named.case) {
                (Some(profile), _) => {
                    vec![parse_id(profile).with_context(|| format!("{profile} is no profile"))?]
                }
                (None, Some(case)) => {
                    let path =
                        config.engine.env.store.as_ref().context(
                            "where are the cases kept? give --config FILE with lists.store",
                        )?;
                    let case = Store::look(path)?.case(case)?;
                    case.profiles.iter().map(|attached| attached.profile).collect()
                }
                (None, None) => Vec::new(),
            };
        let profiles: Vec<_> = profiles.iter().map(|id| read.inquiry.resolve(*id)).collect();
        let mut callers: BTreeMap<(u64, u64), Caller> = BTreeMap::new();
        for row in read.inquiry.calls() {
            if !profiles.contains(&read.inquiry.resolve(row.profile)) {
                continue;
            }
            let marks = read.marks(row);
            let packed = |number: Option<Number>| number.map_or(0, |number| number.packed());
            // Of one who shows many numbers and has one of its own, the own counts.
            let shown = if marks.network.is_some() { None } else { marks.shown };
            let caller = callers
                .entry((packed(marks.network), packed(shown)))
                .or_insert_with(|| Caller { marks, about: about(&marks), calls: 0 });
            caller.calls += 1;
            if caller.marks.sketch.is_none() {
                caller.marks = marks;
            }
        }
        anyhow::ensure!(!callers.is_empty(), "none of the calls looked at is theirs");
        anyhow::ensure!(
            callers.len() <= MOST,
            "their calls have {} numbers, more than {MOST}: share those that are the fraudster's \
             with --number or --call-id",
            callers.len()
        );
        Ok(callers.into_values().collect())
    }

    fn read(&self, config: &Config) -> anyhow::Result<Read> {
        let home = config.engine.env.home_country;
        let mut marks = HashMap::new();
        if self.from.capture.is_empty() {
            let from = self.from.records.clone().or_else(|| config.records.folder.clone());
            let folder = from.context(
                "where are the calls? give --capture FILE or --records FOLDER, or --config FILE \
                 with records.folder",
            )?;
            let (_, inquiry, _) = self.from.recorded(&folder)?;
            return Ok(Read { inquiry, marks, home });
        }
        let model = Model::builtin(&names()).context("the built-in model")?;
        let mut inquiry = Inquiry::default();
        recorded::each_call(config, model.into(), &self.from.capture, &mut |a| {
            marks.insert(a.verdict.call, a.marks);
            inquiry.add(CallRow::from(a));
        })?;
        Ok(Read { inquiry, marks, home })
    }
}

impl Read {
    /// Of a recorded call, what its record tells: no sketch.
    fn marks(&self, row: &CallRow) -> Marks {
        if let Some(marks) = self.marks.get(&row.call) {
            return *marks;
        }
        let number = |text: &str| Number::parse(text.as_bytes(), self.home);
        Marks {
            shown: number(&row.caller),
            network: row.network.as_deref().and_then(number),
            fingerprint: Fingerprint::default(),
            sketch: None,
        }
    }
}

/// The caller in words, masked.
fn about(marks: &Marks) -> String {
    let number = marks.network.or(marks.shown);
    match number {
        Some(number) => {
            let text = format!("+{}", String::from_utf8_lossy(number.as_bytes()));
            mask(text.as_bytes()).to_string()
        }
        None if marks.sketch.is_some() => "a caller told by its signalling".to_owned(),
        None => "nobody".to_owned(),
    }
}

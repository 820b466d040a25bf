//! Models: which scores, which is on trial, and how well they do.

use std::sync::{Arc, PoisonError};

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use super::{
    super::{Api, access::Viewer, extract::Asked, problem::Problem},
    calls::{between, span},
};
use crate::{
    model::{Folder, InUse, Model},
    time::Timestamp,
};

/// Card of the model compiled into this program.
const CARD: &str = include_str!("../../../../models/ensemble.md");
/// Bytes of a card at most.
const CARD_BYTES: u64 = 256 << 10;

/// A labelled call: its probability of fraud, and what it was.
type Labelled = (f64, bool);

/// `GET /v1/models`.
pub(in crate::api) async fn show(
    State(api): State<Arc<Api>>,
    Viewer(_): Viewer,
    asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    asked.done()?;
    let (models, trial, drift) = match &api.live {
        Some(live) => {
            let snapshot = live.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            (snapshot.models.clone(), Some(snapshot.trial), snapshot.drift.clone())
        }
        None => (api.about.models.clone(), None, None),
    };
    let InUse { champion, challenger } = models;
    let at = Arc::clone(&api);
    let told = tokio::task::spawn_blocking(move || {
        [champion, challenger].map(|model| model.map(|model| told(&at, &model)))
    });
    let [champion, challenger] = told.await.map_err(|error| Problem::internal(&error))?;
    let trial = trial.filter(|trial| challenger.is_some() && trial.calls > 0).map(|trial| {
        json!({
            "calls": trial.calls,
            "agree": trial.agree,
            "champion_only": trial.champion_only,
            "challenger_only": trial.challenger_only,
            "mean_difference": trial.mean_difference(),
            "labelled": {
                "champion": found(trial.labelled[0]),
                "challenger": found(trial.labelled[1]),
            },
        })
    });
    let drift: Vec<_> = drift
        .iter()
        .flat_map(|day| &day.index)
        .map(|(feature, psi)| json!({"feature": feature, "psi": psi}))
        .collect();
    let labelled = labelled(&api, between(None, None, "90d")?).await?;
    Ok(Json(json!({
        "champion": champion,
        "challenger": challenger,
        "trial": trial,
        "drift": drift,
        "metrics": metrics(&labelled, f64::from(api.config.engine.levels.high)),
    })))
}

fn told(api: &Api, model: &Model) -> Value {
    json!({
        "name": model.name(),
        "id": format!("{:016x}", model.id()),
        "kind": model.kind(),
        "card": card(api, model),
    })
}

/// What is written of a model: beside its file, or in this program.
fn card(api: &Api, model: &Model) -> Option<String> {
    use std::io::Read as _;
    let read = |path: &std::path::Path| {
        let mut text = String::new();
        std::fs::File::open(path).ok()?.take(CARD_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let named = |file: &std::path::Path| {
        let names = crate::features::names();
        let known = Model::load(file, &names).is_ok_and(|known| known.id() == model.id());
        known.then(|| read(&file.with_extension("md"))).flatten()
    };
    let builtin = Model::builtin(&crate::features::names());
    if builtin.is_ok_and(|builtin| builtin.id() == model.id()) {
        return Some(CARD.to_owned());
    }
    if let Some(card) = api.config.model.as_deref().and_then(named) {
        return Some(card);
    }
    let folder = api.config.models.folder.as_ref()?;
    let state = Folder::new(folder).state().ok()?;
    [state.champion, state.challenger]
        .iter()
        .filter(|name| !name.is_empty())
        .find_map(|name| named(&folder.join(name)))
}

/// Labelled calls of one model by label, and whether it found them high.
fn found([genuine, fraud]: [[u64; 2]; 2]) -> Value {
    json!({
        "genuine_low": genuine[0],
        "genuine_high": genuine[1],
        "fraud_low": fraud[0],
        "fraud_high": fraud[1],
    })
}

/// Recorded calls that were labelled, the last ones.
async fn labelled(
    api: &Arc<Api>,
    [since, until]: [Timestamp; 2],
) -> Result<Vec<Labelled>, Problem> {
    let calls = super::super::labelled::labelled(api).await?;
    let within = calls.iter().filter(|(ts, ..)| *ts >= since && *ts < until);
    Ok(within.map(|(_, item, fraud)| (f64::from(item.probability), *fraud)).collect())
}

/// How well labelled calls were told apart.
fn metrics(labelled: &[Labelled], high: f64) -> Value {
    let count = |is: &dyn Fn(&Labelled) -> bool| labelled.iter().filter(|call| is(call)).count();
    let fraud = count(&|call| call.1);
    let genuine = labelled.len() - fraud;
    let mut metrics = json!({"labelled_fraud": fraud, "labelled_genuine": genuine});
    if labelled.is_empty() {
        return metrics;
    }
    // Scores are rounded; so are levels told.
    let is_high = |call: &Labelled| (call.0 * 100.0).round() >= high;
    let (hits, alarms) = (count(&|call| call.1 && is_high(call)), count(&is_high));
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let brier: f64 =
        labelled.iter().map(|(p, fraud)| (p - f64::from(u8::from(*fraud))).powi(2)).sum();
    let round = |value: f64| (value * 10_000.0).round() / 10_000.0;
    for (name, value) in [
        ("recall_high", share(hits, fraud)),
        ("precision_high", share(hits, alarms)),
        ("brier", Some(brier / labelled.len() as f64)),
        ("auc", auc(labelled)),
    ] {
        if let Some(value) = value {
            metrics[name] = json!(round(value));
        }
    }
    metrics
}

/// Area under the ROC curve: the share of pairs of a fraudulent and a genuine call in
/// which the former has the higher probability (Mann and Whitney, 1947).
fn auc(labelled: &[Labelled]) -> Option<f64> {
    let mut sorted = labelled.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let fraud = sorted.iter().filter(|call| call.1).count() as f64;
    let genuine = sorted.len() as f64 - fraud;
    if fraud == 0.0 || genuine == 0.0 {
        return None;
    }
    let (mut ranks, mut at) = (0.0, 0);
    while at < sorted.len() {
        let same = sorted[at..].iter().take_while(|call| call.0 == sorted[at].0).count();
        // Equal ones share their middle rank.
        let rank = at as f64 + f64::midpoint(same as f64, 1.0);
        ranks += rank * sorted[at..at + same].iter().filter(|call| call.1).count() as f64;
        at += same;
    }
    Some((ranks - fraud * (fraud + 1.0) / 2.0) / (fraud * genuine))
}

/// `GET /v1/models/calibration`: of labelled calls, what was predicted and what was so.
pub(in crate::api) async fn calibration(
    State(api): State<Arc<Api>>,
    Viewer(_): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let span = span(&mut asked, "90d")?;
    asked.done()?;
    let labelled = labelled(&api, span).await?;
    let rows: Vec<_> = (0..10)
        .map(|bin| {
            let (low, high) = (f64::from(bin) / 10.0, f64::from(bin + 1) / 10.0);
            let in_bin = |p: f64| p >= low && (p < high || bin == 9);
            let calls: Vec<_> = labelled.iter().filter(|call| in_bin(call.0)).collect();
            let count = calls.len();
            let mean = |value: &dyn Fn(&Labelled) -> f64| {
                (count > 0)
                    .then(|| calls.iter().map(|call| value(call)).sum::<f64>() / count as f64)
            };
            json!({
                "low": low,
                "high": high,
                "calls": count,
                "predicted": mean(&|call| call.0).unwrap_or(f64::midpoint(low, high)),
                "observed": mean(&|call| f64::from(u8::from(call.1))),
            })
        })
        .collect();
    Ok(Json(json!({"since": span[0].to_string(), "rows": rows})))
}

#[cfg(test)]
mod tests {
    use super::{auc, metrics};

    #[test]
    fn by_hand() {
        let calls = [(0.9, true), (0.8, false), (0.7, true), (0.1, false), (0.1, false)];
        // Of six pairs one is the wrong way round.
        assert!((auc(&calls).unwrap() - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(auc(&[(0.5, true), (0.5, false)]), Some(0.5));
        assert_eq!(auc(&calls[..1]), None);
        let metrics = metrics(&calls, 75.0);
        assert_eq!(metrics["recall_high"], 0.5);
        assert_eq!(metrics["precision_high"], 0.5);
        assert_eq!(metrics["labelled_genuine"], 3);
    }
}

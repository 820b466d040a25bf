//! What values of features are usual: told by the last calls of low risk.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::Float32Type,
};
use serde_json::{Value, json};

use super::super::{Api, ask::in_sql, item::widened, problem::Problem};
use crate::{
    features::{COUNT, FeatureDef, REGISTRY},
    tap::wall,
    time::Timestamp,
};

/// Calls that it is told by.
const CALLS: usize = 2_000;
/// Fewer tell nothing.
const LEAST: usize = 20;
/// How long it is used.
const KEEP: Duration = Duration::from_mins(10);
/// How long it is used while there are few calls.
const BRIEFLY: Duration = Duration::from_secs(20);

/// How long a request waits for it to be worked out anew.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known of it.
#[derive(Debug, Default)]
pub(in crate::api) struct Kept {
    until: Option<Instant>,
    under_way: bool,
    spreads: Arc<Vec<Spread>>,
}

/// 5 %, half and 95 % of calls have a value no greater; `None` where too few have one.
pub(in crate::api) type Spread = Option<[f32; 3]>;

/// A feature of a call beside what is usual.
pub(in crate::api) fn told(feature: &FeatureDef, value: f32, spreads: &[Spread]) -> Value {
    let spread = spreads.get(usize::from(feature.id)).copied().flatten();
    let [low, median, high] =
        spread.map_or([None; 3], |spread| spread.map(|value| Some(widened(value))));
    let unusual =
        value.is_finite() && spread.is_some_and(|[low, _, high]| value < low || value > high);
    json!({
        "name": feature.name,
        "group": feature.group.name(),
        "value": value.is_finite().then(|| widened(value)),
        "low": low,
        "median": median,
        "high": high,
        "unusual": unusual,
        "text": feature.doc,
    })
}

/// The spread of every feature; none yet while it is worked out.
pub(in crate::api) async fn spreads(api: &Arc<Api>) -> Arc<Vec<Spread>> {
    let old = {
        let mut kept = lock(&api.spreads);
        let fresh = kept.until.is_some_and(|until| Instant::now() < until);
        if fresh || kept.under_way {
            return Arc::clone(&kept.spreads);
        }
        kept.under_way = true;
        Arc::clone(&kept.spreads)
    };
    // Whoever asks waits a little, and no longer: the next has it.
    let at = Arc::clone(api);
    let work = tokio::spawn(async move { renew(&at).await });
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(())) => Arc::clone(&lock(&api.spreads).spreads),
        _ => old,
    }
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn renew(api: &Arc<Api>) {
    let mut columns = vec![Vec::new(); COUNT];
    let mut calls = 0;
    if let Some(live) = &api.live {
        let memory = live.memory();
        for kept in memory.latest().filter(|kept| kept.seen.slot.level == 0).take(CALLS) {
            calls += 1;
            for (column, value) in columns.iter_mut().zip(&kept.seen.slot.features) {
                column.push(*value);
            }
        }
    }
    if calls < LEAST
        && let Some(records) = &api.records
    {
        match stored(records).await {
            Ok(stored) => (columns, calls) = stored,
            Err(problem) => log::warn!("what is usual is not known: {problem:?}"),
        }
    }
    let spreads: Vec<Spread> = columns.into_iter().map(spread).collect();
    let keep = if calls < CALLS { BRIEFLY } else { KEEP };
    let until = Some(Instant::now() + keep);
    *lock(&api.spreads) = Kept { until, under_way: false, spreads: Arc::new(spreads) };
}

async fn stored(records: &super::super::ask::Questions) -> Result<(Vec<Vec<f32>>, usize), Problem> {
    records
        .work(|store, limits| {
            let mut columns = vec![Vec::new(); COUNT];
            let mut calls = 0;
            for [low, high] in store.windows(Timestamp(0), wall().plus(Duration::from_mins(5)))? {
                let sql = format!(
                    "SELECT * FROM features WHERE ts >= {} AND ts < {} AND level = 'low' LIMIT {}",
                    in_sql(low),
                    in_sql(high),
                    CALLS - calls
                );
                store.query(&sql, limits, &mut |batch: &RecordBatch| {
                    calls += batch.num_rows();
                    for (column, feature) in columns.iter_mut().zip(REGISTRY) {
                        let values = batch
                            .column_by_name(feature.name)
                            .and_then(|values| values.as_primitive_opt::<Float32Type>());
                        column.extend(values.into_iter().flatten().flatten());
                    }
                    Ok(())
                })?;
                if calls >= CALLS {
                    break;
                }
            }
            Ok((columns, calls))
        })
        .await
}

fn spread(mut values: Vec<f32>) -> Spread {
    values.retain(|value| value.is_finite());
    if values.len() < LEAST {
        return None;
    }
    values.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    Some([at(0.05), at(0.5), at(0.95)])
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn of_a_hundred_and_one() {
        let values = (0..=100).map(|i| ((i * 37) % 101) as f32).chain([f32::NAN]);
        assert_eq!(spread(values.collect()), Some([5.0, 50.0, 95.0]));
        assert_eq!(spread(vec![1.0; 19]), None);
    }
}

//! What values of features are usual: told by the last calls of low risk.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use arrow::{array::AsArray as _, datatypes::Float32Type};
use serde_json::{Value, json};

use super::super::{Api, ask::in_sql, problem::Problem};
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

/// 5 %, half and 95 % of calls have a value no greater; `None` where too few have one.
pub(in crate::api) type Spread = Option<[f32; 3]>;

/// A feature of a call beside what is usual.
pub(in crate::api) fn told(feature: &FeatureDef, value: f32, spreads: &[Spread]) -> Value {
    let spread = spreads.get(usize::from(feature.id)).copied().flatten();
    let [low, median, high] = spread.map_or([None; 3], |spread| spread.map(Some));
    let unusual =
        value.is_finite() && spread.is_some_and(|[low, _, high]| value < low || value > high);
    json!({
        "name": feature.name,
        "group": feature.group.name(),
        "value": value.is_finite().then_some(value),
        "low": low,
        "median": median,
        "high": high,
        "unusual": unusual,
        "text": feature.doc,
    })
}

/// The spread of every feature.
pub(in crate::api) async fn spreads(api: &Arc<Api>) -> Result<Arc<Vec<Spread>>, Problem> {
    {
        let kept = api.spreads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((until, spreads)) = &*kept
            && Instant::now() < *until
        {
            return Ok(Arc::clone(spreads));
        }
    }
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
        (columns, calls) = stored(records).await?;
    }
    let spreads: Vec<Spread> = columns.into_iter().map(spread).collect();
    let spreads = Arc::new(spreads);
    let keep = if calls < CALLS { BRIEFLY } else { KEEP };
    let mut kept = api.spreads.lock().unwrap_or_else(PoisonError::into_inner);
    *kept = Some((Instant::now() + keep, Arc::clone(&spreads)));
    Ok(spreads)
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
                store.query(&sql, limits, &mut |_| Ok(()), &mut |batch| {
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

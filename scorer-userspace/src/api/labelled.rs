//! Stored calls that were labelled, as far as reports need them. They lie anywhere among
//! all calls, so they are looked for once and then known.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Api, item::Item, problem::Problem, routes::calls::whole_of};
use crate::{
    labels::{LabelError, Labels},
    records::query::area,
    tap::wall,
    time::Timestamp,
};

/// Labels that are counted in at most, the last ones.
const MOST: usize = 5_000;
/// How long a request waits until they are looked for anew.
const PATIENCE: Duration = Duration::from_millis(500);
/// A call whose record was not there is looked for again after this long, among the calls
/// of the last hours only: it had not been written.
const AGAIN: Duration = Duration::from_secs(5);
const RECENT: Duration = Duration::from_hours(26);
/// Calls whose records are read at a time.
const AT_ONCE: usize = 500;

/// A labelled call: when it was, what its record says without its numbers (of the
/// callee's only the area), and whether it was said to be fraud.
pub(super) type Labelled = (Timestamp, Arc<Item>, bool);

/// The record of a Call-ID; `None` where there is none.
type Found = Option<(Timestamp, Arc<Item>)>;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Number of the last label that was read.
    last: i64,
    /// Last labels, the oldest first.
    said: Vec<(String, bool)>,
    found: HashMap<String, Found>,
    looked: Option<Instant>,
    under_way: bool,
}

/// The labelled calls that records are known of, the oldest label first.
///
/// # Errors
/// Those of the labels' file.
pub(super) async fn labelled(api: &Arc<Api>) -> Result<Vec<Labelled>, Problem> {
    let at = Arc::clone(api);
    // Whoever asks waits a little, and no longer: the next has the rest.
    let work = tokio::spawn(async move { renew(&at).await });
    if let Ok(done) = tokio::time::timeout(PATIENCE, work).await {
        done.map_err(|error| Problem::internal(&error))??;
    }
    let kept = lock(&api.labelled);
    let known = kept.said.iter().filter_map(|(id, fraud)| {
        let (ts, item) = kept.found.get(id)?.as_ref()?;
        Some((*ts, Arc::clone(item), *fraud))
    });
    Ok(known.collect())
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads labels that are new, and looks for the calls of those that are not known.
async fn renew(api: &Arc<Api>) -> Result<(), Problem> {
    if std::mem::replace(&mut lock(&api.labelled).under_way, true) {
        return Ok(());
    }
    let result = renew_alone(api).await;
    lock(&api.labelled).under_way = false;
    result
}

async fn renew_alone(api: &Arc<Api>) -> Result<(), Problem> {
    let Some(path) = api.labels.clone().filter(|path| path.exists()) else { return Ok(()) };
    let Some(records) = &api.records else { return Ok(()) };
    let known = lock(&api.labelled).last;
    let read = tokio::task::spawn_blocking(move || {
        let labels = Labels::open(&path)?;
        let last = labels.last()?;
        if last == known {
            return Ok(None);
        }
        let mut said = VecDeque::new();
        labels.counting(|label| {
            if said.len() == MOST {
                said.pop_front();
            }
            said.push_back((label.call_id, label.fraud));
        })?;
        Ok::<_, LabelError>(Some((last, Vec::from(said))))
    });
    let read = read.await.map_err(|error| Problem::internal(&error))??;
    let (new, missing) = {
        let mut kept = lock(&api.labelled);
        if let Some((last, said)) = read {
            kept.last = last;
            let ids: HashSet<&String> = said.iter().map(|(id, _)| id).collect();
            kept.found.retain(|id, _| ids.contains(id));
            kept.said = said;
        }
        let of = |is: &dyn Fn(Option<&Found>) -> bool| {
            let ids = kept.said.iter().map(|(id, _)| id);
            ids.filter(|id| is(kept.found.get(*id))).cloned().collect::<HashSet<_>>()
        };
        let missing = of(&|found| matches!(found, Some(None)));
        let again = kept.looked.is_none_or(|at| at.elapsed() > AGAIN);
        (of(&|found| found.is_none()), if again { missing } else { HashSet::new() })
    };
    let recent = Timestamp(wall().0.saturating_sub(RECENT.as_nanos() as u64));
    for (ids, since) in [(new, Timestamp(0)), (missing, recent)] {
        if ids.is_empty() {
            continue;
        }
        let wanted = ids.clone();
        let keys =
            records.work(move |store, limits| store.seek(&wanted, since, limits.time)).await?;
        let mut items = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            items.extend(whole_of(api, records, keys).await?);
        }
        let mut kept = lock(&api.labelled);
        kept.looked = Some(Instant::now());
        for id in ids {
            kept.found.entry(id).or_insert(None);
        }
        for item in items {
            let Some(ts) = Timestamp::asked(&item.ts, Timestamp(0)) else { continue };
            let call_id = item.call_id.clone();
            kept.found.insert(call_id, Some((ts, Arc::new(nameless(item)))));
        }
    }
    Ok(())
}

/// Without numbers: they may be erased from the records while this is kept.
fn nameless(item: Item) -> Item {
    let callee = item.callee.as_deref().map(|callee| area(callee).to_owned());
    Item { caller: None, network_number: None, callee, ..item }
}

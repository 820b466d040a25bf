//! `GET /v1/calls` and `GET /v1/calls/{call}`.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    Api,
    access::{Principal, Role, Viewer},
    ask::{Questions, in_sql, talked},
    extract::{Asked, Named},
    filter::{Chosen, Filter},
    item::{COLUMNS, Item, Outcome, Row},
    ladder,
    live::Kept,
    mask,
    page::{self, Behind, Page},
    problem::Problem,
};
use crate::{
    features::REGISTRY, history::Progress, labels::Labels, records::query::quoted, tap::wall,
    time::Timestamp,
};

/// After this long a page is given out with what was found, and where to go on.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long a call's outcome mostly comes after it.
const SHORT_TALK: Duration = Duration::from_hours(1);
/// Steps of a call that are told.
const STEPS: usize = 16;

/// A span of time; to now unless asked otherwise.
pub(in crate::api) fn span(asked: &mut Asked, usual: &str) -> Result<[Timestamp; 2], Problem> {
    let (since, until) = (asked.text("since"), asked.text("until"));
    between(since.as_deref(), until.as_deref(), usual)
}

/// The same from texts.
pub(in crate::api) fn between(
    since: Option<&str>,
    until: Option<&str>,
    usual: &str,
) -> Result<[Timestamp; 2], Problem> {
    let now = wall();
    let time = |name: &str, text: &str| {
        Timestamp::asked(text, now).ok_or_else(|| {
            Problem::wrong(format!(
                "{name} is a time: 90s, 15m, 1h, 7d ago, 2026-11-25 or 2026-11-25T08:00:00Z"
            ))
        })
    };
    // Packets' time may run ahead of this host's a little.
    let ahead = now.plus(Duration::from_mins(5));
    let until = until.map_or(Ok(ahead), |text| time("until", text))?;
    let since = time("since", since.unwrap_or(usual))?;
    if since > until {
        return Err(Problem::wrong("since is later than until"));
    }
    Ok([since, until])
}

/// Stored or, where nothing is stored, remembered calls, newest first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(asked.number("limit")?)?;
    let span = span(&mut asked, "1970-01-01")?;
    let behind = asked.text("cursor").as_deref().map(Behind::read).transpose()?;
    let chosen = Filter::take(&mut asked)?.check(api.home)?;
    asked.done()?;
    let mut page = match &api.records {
        Some(records) => stored(&api, records, &chosen, who.role, span, behind, limit).await?,
        None => remembered(&api, &chosen, who.role, span, behind, limit).await?,
    };
    if who.role.is_masked() {
        page.items = page.items.into_iter().map(Item::masked).collect();
    }
    Ok(Json(page))
}

/// Time and key of a call.
#[derive(Debug, Deserialize)]
struct Key {
    ts: u64,
    call: u64,
}

async fn stored(
    api: &Arc<Api>,
    records: &Questions,
    chosen: &Chosen,
    role: Role,
    [since, until]: [Timestamp; 2],
    behind: Option<Behind>,
    limit: usize,
) -> Result<Page<Item>, Problem> {
    let until = behind.map_or(until, |behind| until.min(Timestamp(behind.ts.0 + 1)));
    let begin = behind.unwrap_or(Behind { ts: until, call: 0 });
    let started = Instant::now();
    let windows = records.work(move |store, _| store.windows(since, until)).await?;
    let (mut items, mut next) = (Vec::new(), None);
    for window in &windows {
        let left = PATIENCE.saturating_sub(started.elapsed());
        let end = may_end(*window, begin);
        if end.is_some() && left.is_zero() {
            next = end;
            break;
        }
        let mut conditions = chosen.conditions(records.store(), role, *window)?;
        if let Some(Behind { ts, call }) = behind
            && window[1] > ts
        {
            let ts = in_sql(ts);
            conditions.push(format!("(ts < {ts} OR call < {call})"));
        }
        // One more tells whether there is a next page.
        let wanted = limit + 1 - items.len();
        let sql = format!(
            "SELECT CAST(ts AS BIGINT) AS ts, call FROM calls WHERE {} \
             ORDER BY ts DESC, call DESC LIMIT {wanted}",
            conditions.join(" AND ")
        );
        let keys: Vec<Key> = if end.is_some() {
            let Some(keys) = records.rows_within(sql, left).await? else {
                next = end;
                break;
            };
            keys
        } else {
            records.rows(sql).await?
        };
        let full = keys.len() == wanted;
        let last = keys.last().map(|key| Behind { ts: Timestamp(key.ts), call: key.call });
        let mut found = whole(api, records, keys).await?;
        if let Some(outcome) = chosen.outcome {
            found.retain(|item| item.outcome.as_deref() == Some(outcome));
        }
        items.append(&mut found);
        if items.len() > limit {
            items.truncate(limit);
            next = items.last().and_then(place);
            break;
        }
        if full {
            // Some fell out by their outcome.
            next = last;
            break;
        }
    }
    Ok(Page { items, next: next.map(Behind::cursor) })
}

/// Where a look that lasts long may end before a window: only where it has come further than
/// where it began. Else the next one would end there again, and so on for ever: what is asked
/// behind a place begins with a window of nothing but that place.
fn may_end(window: [Timestamp; 2], begin: Behind) -> Option<Behind> {
    let end = Behind { ts: window[1], call: 0 };
    (end < begin).then_some(end)
}

/// The place behind a call.
fn place(item: &Item) -> Option<Behind> {
    let ts = Timestamp::asked(&item.ts, Timestamp::default())?;
    Some(Behind { ts, call: u64::from_str_radix(&item.call, 16).ok()? })
}

/// All that is known of calls, in their order.
pub(in crate::api) async fn whole_of(
    api: &Arc<Api>,
    records: &Questions,
    keys: &[(u64, u64)],
) -> Result<Vec<Item>, Problem> {
    let keys = keys.iter().map(|(ts, call)| Key { ts: *ts, call: *call }).collect();
    whole(api, records, keys).await
}

async fn whole(api: &Arc<Api>, records: &Questions, keys: Vec<Key>) -> Result<Vec<Item>, Problem> {
    let Some(first) = keys.iter().map(|key| key.ts).min() else { return Ok(Vec::new()) };
    let last = keys.iter().map(|key| key.ts).max().unwrap_or(first);
    let calls: Vec<_> = keys.iter().map(|key| key.call).collect();
    let list: Vec<_> = calls.iter().map(u64::to_string).collect();
    let rows: Vec<Row> = records
        .rows(format!(
            "SELECT {COLUMNS} FROM calls WHERE ts >= {} AND ts <= {} AND call IN ({})",
            in_sql(Timestamp(first)),
            in_sql(Timestamp(last)),
            list.join(", ")
        ))
        .await?;
    let outcomes = outcomes(records, [first, last], &calls).await?;
    let mut by_key: HashMap<(u64, u64), Item> = rows
        .into_iter()
        .map(|row| {
            let (key, mut item) = ((row.ts, row.call), Item::from(row));
            if let Some(outcome) = outcomes.get(&key.1) {
                item.went(outcome);
            }
            (key, item)
        })
        .collect();
    let mut items: Vec<_> =
        keys.iter().filter_map(|key| by_key.remove(&(key.ts, key.call))).collect();
    label(api, &mut items).await?;
    Ok(items)
}

#[derive(Debug, Deserialize)]
struct Went {
    #[serde(default)]
    ts: u64,
    call: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// The last outcome of each call. Most are over within an hour: only of those that are not
/// is asked further.
async fn outcomes(
    records: &Questions,
    [first, last]: [u64; 2],
    calls: &[u64],
) -> Result<HashMap<u64, Outcome>, Problem> {
    let mut known = HashMap::new();
    let (last, mut since) = (Timestamp(last), Timestamp(first));
    for until in [last.plus(SHORT_TALK).min(talked(last)), talked(last)] {
        let over = |call: &&u64| known.get(*call).is_some_and(Outcome::is_end);
        let open: Vec<_> = calls.iter().filter(|call| !over(call)).collect();
        if open.is_empty() {
            break;
        }
        let open: Vec<_> = open.into_iter().map(u64::to_string).collect();
        for went in steps(records, [since, until], &open.join(", ")).await? {
            known.insert(went.call, went.outcome);
        }
        since = until;
    }
    Ok(known)
}

/// How calls went on in a time, in its order; `calls` are keys as a list in SQL.
async fn steps(
    records: &Questions,
    [since, until]: [Timestamp; 2],
    calls: &str,
) -> Result<Vec<Went>, Problem> {
    records
        .rows(format!(
            "SELECT CAST(ts AS BIGINT) AS ts, call, outcome, code, setup_s, duration_s \
             FROM outcomes WHERE ts >= {} AND ts < {} AND call IN ({calls}) ORDER BY ts",
            in_sql(since),
            in_sql(until)
        ))
        .await
}

/// Says what people said of them.
pub(in crate::api) async fn label(api: &Arc<Api>, items: &mut [Item]) -> Result<(), Problem> {
    let Some(path) = api.labels.clone().filter(|path| path.exists()) else { return Ok(()) };
    let ids: Vec<_> = items.iter().map(|item| item.call_id.clone()).collect();
    let read = move || {
        let labels = Labels::open(&path)?;
        ids.iter()
            .map(|id| Ok(labels.of(id)?.map(|label| if label.fraud { "fraud" } else { "genuine" })))
            .collect::<Result<Vec<_>, crate::labels::LabelError>>()
    };
    let said = tokio::task::spawn_blocking(read).await;
    let said = said.map_err(|error| Problem::internal(&error))??;
    for (item, label) in items.iter_mut().zip(said) {
        item.label = label;
    }
    Ok(())
}

/// A call in memory, as far as it has come.
pub(in crate::api) fn item_of(kept: &Kept) -> Item {
    let mut item = Item::from(&*kept.seen.slot);
    if let Some(outcome) = kept.outcome() {
        item.went(outcome);
    }
    item
}

/// Calls looked at at a time, with the memory held.
const AT_ONCE: usize = 2_000;

async fn remembered(
    api: &Arc<Api>,
    chosen: &Chosen,
    role: Role,
    [since, until]: [Timestamp; 2],
    behind: Option<Behind>,
    limit: usize,
) -> Result<Page<Item>, Problem> {
    let Some(live) = &api.live else {
        return Err(Problem::not_found(
            "there are no records: give --records FOLDER or set records.folder",
        ));
    };
    let (mut items, mut skip) = (Vec::new(), 0);
    loop {
        let kept: Vec<Kept> = live.memory().latest().skip(skip).take(AT_ONCE).cloned().collect();
        let all = kept.len() < AT_ONCE;
        skip += kept.len();
        let mut found: Vec<_> = kept
            .iter()
            .filter(|kept| {
                let slot = &kept.seen.slot;
                let ts = Timestamp(slot.ts);
                ts >= since
                    && ts < until
                    && behind.is_none_or(|behind| (ts, slot.call) < (behind.ts, behind.call))
            })
            .map(item_of)
            .collect();
        label(api, &mut found).await?;
        items.extend(found.into_iter().filter(|item| chosen.has(item, role)));
        if all || items.len() > limit {
            break;
        }
    }
    // Of one moment, and over several rings, they came in another order.
    items.sort_by(|a, b| (&b.ts, &b.call).cmp(&(&a.ts, &a.call)));
    let more = items.len() > limit;
    items.truncate(limit);
    let next = more.then(|| items.last().and_then(place)).flatten();
    Ok(Page { items, next: next.map(Behind::cursor) })
}

/// One call, with all that is known.
pub(in crate::api) async fn detail(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    Named(asked): Named<String>,
) -> Result<impl IntoResponse, Problem> {
    if asked.len() > 1_024 {
        return Err(Problem::wrong("a Call-ID has 1024 bytes at most here"));
    }
    let key = (asked.len() == 16).then(|| u64::from_str_radix(&asked, 16).ok()).flatten();
    let kept = api.live.as_ref().and_then(|live| {
        let memory = live.memory();
        key.and_then(|key| memory.call(key)).or_else(|| memory.call_id(&asked)).cloned()
    });
    let mut found = match (&kept, &api.records) {
        (Some(kept), _) => Found::of(kept),
        (None, Some(records)) => Found::stored(&api, records, &asked, key).await?,
        (None, None) => return Err(not_found(&asked)),
    };
    label(&api, std::slice::from_mut(&mut found.item)).await?;
    let masked = who.role.is_masked();
    let labels = super::labels::of_call(&api, &found.item.call_id, masked).await?;
    let cases = match &found.item.profile {
        Some(profile) => super::cases::of_profile(&api, profile).await?,
        None => Vec::new(),
    };
    let spreads = super::spread::spreads(&api).await;
    let features: Vec<_> = REGISTRY
        .iter()
        .zip(&found.features)
        .map(|(feature, value)| super::spread::told(feature, *value, &spreads))
        .collect();
    let headers = kept.as_ref().map(|kept| ladder::headers(&kept.seen, masked));
    let steps = ladder::steps(&found.item.ts, &found.steps);
    let item = if masked { found.item.masked() } else { found.item };
    let mut answer = serde_json::to_value(item).map_err(|error| Problem::internal(&error))?;
    if let Some(answer) = answer.as_object_mut() {
        answer.extend([
            ("features".into(), json!(features)),
            ("ladder".into(), json!(steps)),
            ("headers".into(), json!(headers)),
            ("message_available".into(), json!(kept.is_some())),
            ("labels".into(), json!(labels)),
            ("cases".into(), json!(cases)),
        ]);
    }
    Ok(Json(answer))
}

/// A call that was found, wherever.
struct Found {
    item: Item,
    features: Vec<f32>,
    steps: Vec<(Timestamp, Outcome)>,
}

fn not_found(asked: &str) -> Problem {
    let asked: String = mask::text(asked).chars().take(100).collect();
    Problem::not_found(format!("there is no call {asked:?}, or none any more"))
}

impl Found {
    fn of(kept: &Kept) -> Self {
        Self {
            item: item_of(kept),
            features: kept.seen.slot.features.to_vec(),
            steps: kept.steps.iter().map(|step| (step.ts, step.outcome.clone())).collect(),
        }
    }

    async fn stored(
        api: &Arc<Api>,
        records: &Questions,
        asked: &str,
        key: Option<u64>,
    ) -> Result<Self, Problem> {
        let until = wall().plus(Duration::from_mins(5));
        let windows = records.work(move |store, _| store.windows(Timestamp(0), until)).await?;
        let mut condition = format!("call_id = {}", quoted(asked));
        if let Some(key) = key {
            condition = format!("(call = {key} OR {condition})");
        }
        for [low, high] in windows {
            let keys: Vec<Key> = records
                .rows(format!(
                    "SELECT CAST(ts AS BIGINT) AS ts, call FROM calls \
                     WHERE ts >= {} AND ts < {} AND {condition} ORDER BY ts DESC LIMIT 1",
                    in_sql(low),
                    in_sql(high)
                ))
                .await?;
            let Some(Key { ts, call }) = keys.into_iter().next() else { continue };
            let mut items = whole(api, records, vec![Key { ts, call }]).await?;
            let Some(item) = items.pop() else { continue };
            let features = features(records, ts, call).await?;
            let span = [Timestamp(ts), talked(Timestamp(ts))];
            let mut steps = steps(records, span, &call.to_string()).await?;
            steps.truncate(STEPS);
            let steps = steps.into_iter().map(|went| (Timestamp(went.ts), went.outcome)).collect();
            return Ok(Self { item, features, steps: with_answer(Timestamp(ts), steps) });
        }
        Err(not_found(asked))
    }
}

/// Steps with the answer, which records leave out where the end tells it.
fn with_answer(
    invite: Timestamp,
    mut steps: Vec<(Timestamp, Outcome)>,
) -> Vec<(Timestamp, Outcome)> {
    const ANSWERED: &str = Progress::Answered.name();
    let told = steps.iter().any(|(_, outcome)| outcome.outcome == ANSWERED);
    let answer = steps.iter().find_map(|(_, outcome)| {
        let setup = outcome.setup_s.filter(|_| !told && outcome.duration_s.is_some())?;
        let at = invite.plus(Duration::try_from_secs_f32(setup).ok()?);
        let outcome = Outcome { outcome: ANSWERED.into(), duration_s: None, ..outcome.clone() };
        Some((at, outcome))
    });
    if let Some(answer) = answer {
        let place = steps.iter().take_while(|(at, _)| *at < answer.0).count();
        steps.insert(place, answer);
    }
    steps
}

/// Features of a stored call; none where they are not kept.
async fn features(records: &Questions, ts: u64, call: u64) -> Result<Vec<f32>, Problem> {
    let read = records.work(move |store, _| store.features(Timestamp(ts), call));
    Ok(read.await?.unwrap_or_default())
}

/// Bytes of a verdict's line at most.
const LINE: usize = 64 << 10;

/// A verdict by Call-ID without its numbers, for those who see none.
pub(in crate::api) async fn masked_verdict(
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let who = request.extensions().get::<Principal>();
    let masked = who.is_none_or(|who| who.role.is_masked());
    let response = next.run(request).await;
    if !masked || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let wrong = |error: &dyn std::fmt::Display| Problem::internal(error);
    let bytes = axum::body::to_bytes(body, LINE).await.map_err(|error| wrong(&error))?;
    let mut line: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
    for name in ["caller", "callee", "from_user", "to_user", "network_number"] {
        if let Some(Value::String(number)) = line.get_mut(name) {
            *number = mask::user(number);
        }
    }
    if let Some(Value::String(call_id)) = line.get_mut("call_id") {
        *call_id = mask::call_id(call_id).into_owned();
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::from(format!("{line}\n"))))
}

#[cfg(test)]
mod tests {
    use super::{Behind, Outcome, may_end, with_answer};
    use crate::{records::query::windows, time::Timestamp};

    #[test]
    fn a_look_that_never_has_time_comes_to_the_end() {
        let second = |seconds: u64| Timestamp(seconds * 1_000_000_000);
        // Ten files, the last first, with times between them of which nothing is stored.
        let files = (0..10).rev().map(|i| ([second(100 * i), second(100 * i + 60)], 6 << 20));
        let mut behind: Option<Behind> = None;
        let mut looks = 0;
        'looks: loop {
            looks += 1;
            assert!(looks < 12, "no further than {behind:?}");
            let until = behind.map_or(second(5_000), |behind| Timestamp(behind.ts.0 + 1));
            let begin = behind.unwrap_or(Behind { ts: until, call: 0 });
            let files = files.clone().filter(|(times, _)| times[0] < until);
            for window in windows(files, second(0), until) {
                if let Some(end) = may_end(window, begin) {
                    behind = Some(end);
                    continue 'looks;
                }
            }
            break;
        }
        assert!(looks > 3, "all was looked at in {looks} looks");
    }

    #[test]
    fn an_answer_is_told_by_the_end_of_a_call() {
        let end = |outcome: &str, duration_s| Outcome {
            outcome: outcome.into(),
            code: Some(200),
            setup_s: Some(2.5),
            duration_s,
        };
        let second = |seconds: f64| Timestamp((seconds * 1e9) as u64);
        let names = |steps: Vec<(Timestamp, Outcome)>| {
            steps.into_iter().map(|(at, outcome)| (at, outcome.outcome)).collect::<Vec<_>>()
        };
        let over = (second(40.0), end("completed", Some(30.0)));
        let (answered, completed) = ("answered".to_owned(), "completed".to_owned());
        assert_eq!(
            names(with_answer(second(7.5), vec![over.clone()])),
            [(second(10.0), answered.clone()), (second(40.0), completed.clone())]
        );
        let told = (second(10.0), end("answered", None));
        assert_eq!(
            names(with_answer(second(7.5), vec![told, over])),
            [(second(10.0), answered), (second(40.0), completed)]
        );
        let refused = (second(9.0), Outcome { setup_s: None, ..end("rejected", None) });
        assert_eq!(with_answer(second(7.5), vec![refused]).len(), 1);
        assert!(with_answer(second(7.5), Vec::new()).is_empty());
    }
}

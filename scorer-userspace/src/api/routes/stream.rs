//! `GET /v1/stream`: calls as they are scored, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse,
        sse::{KeepAlive, Sse},
    },
};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, broadcast::error::RecvError};

use super::super::{
    Api,
    access::Viewer,
    extract::Asked,
    filter::{Chosen, Filter},
    live::Event,
    problem::Problem,
};

/// A comment this often shows both ends that the other is there.
const ALIVE: Duration = Duration::from_secs(15);

type Told = axum::response::sse::Event;

/// Live calls.
pub(in crate::api) async fn stream(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let live = api.live.as_ref().ok_or_else(|| {
        Problem::not_found("nothing is scored here: `scorer tap` and `scorer inline` have a stream")
    })?;
    let chosen = Filter::take(&mut asked)?.check(api.home)?;
    asked.done()?;
    let place = Arc::clone(&api.streams).try_acquire_owned();
    let place = place.map_err(|_| Problem::busy("too many streams; close one"))?;
    let reading = Reading {
        events: live.listen(),
        chosen,
        role: who.role,
        lost: 0,
        _place: place,
        api: Arc::clone(&api),
    };
    // What it was like until now, so that a reader need not wait for it.
    let first = live.rates().map(|rates| told("rates", &rates.json().to_string()));
    let rest = stream::unfold(reading, next);
    let all = stream::StreamExt::chain(stream::iter(first.map(Ok::<_, Infallible>)), rest);
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(ALIVE)))
}

struct Reading {
    events: tokio::sync::broadcast::Receiver<Arc<Event>>,
    chosen: Chosen,
    role: super::super::access::Role,
    lost: u64,
    _place: OwnedSemaphorePermit,
    api: Arc<Api>,
}

async fn next(mut state: Reading) -> Option<(Result<Told, Infallible>, Reading)> {
    loop {
        match state.events.recv().await {
            Ok(event) => {
                let wanted =
                    event.item.as_ref().is_none_or(|item| state.chosen.has(item, state.role));
                if wanted {
                    let told = told(event.name, event.data(state.role.is_masked()));
                    return Some((Ok(told), state));
                }
            }
            // It reads too slowly: what it missed is gone, and it is told how much.
            Err(RecvError::Lagged(missed)) => {
                state.lost += missed;
                state.api.stats.stream_lost.add_many(missed);
                let data = format!("{{\"count\":{},\"new\":{missed}}}", state.lost);
                return Some((Ok(told("lost", &data)), state));
            }
            Err(RecvError::Closed) => return None,
        }
    }
}

fn told(name: &str, data: &str) -> Told {
    Told::default().event(name).data(data)
}

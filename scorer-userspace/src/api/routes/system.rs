//! `GET /v1/system`: the host, the process, what waits and what was lost.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use axum::{Json, extract::State, response::IntoResponse};
use scorer_common::Counter;
use serde_json::{Value, json};

use super::super::{Api, access::Viewer, extract::Asked, live::Live, problem::Problem};
use crate::{hex::hex, records, tap::object::OBJECT};

/// All of it.
pub(in crate::api) async fn show(
    State(api): State<Arc<Api>>,
    Viewer(_): Viewer,
    asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    asked.done()?;
    let at = Arc::clone(&api);
    let looked = tokio::task::spawn_blocking(move || {
        let bytes = at.records.as_ref().and_then(|records| records.store().bytes().ok());
        ((at.about.doctor)(), bytes.unwrap_or(0))
    });
    let (doctor, bytes) = looked.await.map_err(|error| Problem::internal(&error))?;
    let doctor: Vec<_> = doctor
        .into_iter()
        .map(|(check, ok, detail)| json!({"check": check, "ok": ok, "detail": detail}))
        .collect();
    let stats = api.live.as_ref().and_then(|live| live.shared.records.clone());
    let folder = api.config.records.folder.as_ref().map(|folder| {
        json!({
            "folder": folder.display().to_string(),
            "bytes": bytes,
            "paused": stats.as_ref().is_some_and(|stats| stats.paused.load(Ordering::Relaxed)),
        })
    });
    let model = api.about.models.champion.as_ref();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.map(|host| host.trim().to_owned());
    let digest = ring::digest::digest(&ring::digest::SHA256, OBJECT);
    let digest = hex(digest.as_ref());
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": api.started.to_string(),
        "host": host,
        "mode": api.about.mode,
        "interfaces": api.about.interfaces,
        "rings": api.live.as_ref().map_or_else(|| json!({}), rings),
        "queues": api.live.as_ref().map_or_else(|| json!({}), |live| queues(&api, live)),
        "records": folder,
        "memory": api.live.as_ref().map(|live| {
            let (calls, bytes, most) = live.memory().size();
            json!({"calls": calls, "bytes": bytes, "most": most})
        }),
        "rates": api.live.as_ref().and_then(Live::rates).map(|rates| rates.json()),
        "doctor": doctor,
        "model": model.map(|model| json!({"name": model.name(), "id": format!("{:016x}", model.id())})),
        "object": {"bytes": OBJECT.len(), "sha256": digest},
    })))
}

/// What the kernel's programs counted.
fn rings(live: &Live) -> Value {
    let Some(counts) = live.shared.kernel.as_ref().and_then(|kernel| kernel.read().ok()) else {
        return json!({});
    };
    let named = Counter::ALL.iter().zip(counts);
    Value::Object(named.map(|(counter, count)| (counter.name().to_owned(), json!(count))).collect())
}

/// What waits, how much may, and what found no room.
fn queues(api: &Api, live: &Live) -> Value {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let (waiting, room, dropped) = live.queue();
    let mut queues = json!({
        "api": {"length": waiting, "capacity": room, "dropped": dropped},
        "output": {"length": 0, "capacity": 0, "dropped": of(&live.shared.output_dropped)},
    });
    if let Some(stats) = &live.shared.records {
        let stats: &records::Stats = stats;
        queues["records"] = json!({
            // Most that waited at once: how many do now only the writer knows.
            "length": of(&stats.deepest),
            "capacity": api.config.records.queue,
            "dropped": of(&stats.queue_full),
        });
    }
    let inline = *live.shared.inline.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(inline) = inline {
        queues["inline"] = json!({"length": 0, "capacity": 0, "dropped": inline.lost});
    }
    queues
}

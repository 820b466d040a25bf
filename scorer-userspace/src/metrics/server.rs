//! The HTTP side.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus::{
    Encoder as _, TextEncoder,
    core::Collector as _,
    proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use scorer_common::Counter;

use super::{FAMILIES, Family, Latency, Shared, histogram::BOUNDS};

/// Why metrics are not served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address}: {source}; choose another address with --metrics")]
pub struct MetricsError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Serves `/metrics` until the future is dropped.
///
/// # Errors
/// [`MetricsError`] when the address cannot be had.
pub async fn serve(address: SocketAddr, shared: Arc<Shared>) -> Result<(), MetricsError> {
    let error = |source| MetricsError { address, source };
    if !address.ip().is_loopback() {
        log::warn!("metrics on {address} can be read by whoever reaches this host");
    }
    let listener = tokio::net::TcpListener::bind(address).await.map_err(error)?;
    log::info!("metrics on http://{address}/metrics");
    let router = Router::new().route("/metrics", get(scrape)).with_state(shared);
    axum::serve(listener, router).await.map_err(error)
}

async fn scrape(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match text(&shared) {
        Ok(text) => (StatusCode::OK, [("content-type", "text/plain; version=0.0.4")], text),
        Err(error) => {
            let plain = [("content-type", "text/plain")];
            (StatusCode::INTERNAL_SERVER_ERROR, plain, error.into_bytes())
        }
    }
}

/// All metrics as text.
fn text(shared: &Shared) -> Result<Vec<u8>, String> {
    let mut samples: HashMap<&str, Vec<(String, f64)>> = HashMap::new();
    let mut put = |name: &'static str, label: &str, value: f64| {
        samples.entry(name).or_default().push((label.to_owned(), value));
    };
    // Counts are exact up to 2^53.
    let mut add = |name, label: &str, value: u64| put(name, label, value as f64);
    if let Some(kernel) = &shared.kernel {
        let kernel = kernel.read().map_err(|error| error.to_string())?;
        for (counter, value) in Counter::ALL.iter().zip(kernel) {
            add("scorer_kernel_packets_total", counter.name(), value);
        }
    }
    let ways = &shared.out_of_band;
    for (name, _, value) in ways.deliveries.iter() {
        add("scorer_deliveries_total", name, value);
    }
    for (name, _, value) in ways.http.iter().flat_map(|http| http.iter()) {
        add("scorer_http_verdicts_total", name, value);
    }
    if let Some(redirect) = &ways.redirect {
        for (name, _, value) in redirect.events.iter() {
            add("scorer_redirect_events_total", name, value);
        }
        for (code, value) in redirect.answers() {
            add("scorer_redirect_answers_total", &code.to_string(), value);
        }
    }
    // A scoring thread that panicked has left its last copy.
    let snapshot =
        shared.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    for sample in snapshot.engine.iter() {
        match (sample.name, sample.label) {
            ("verdicts", Some((_, level))) => add("scorer_verdicts_total", level, sample.value),
            ("verdict_tags", Some((_, tag))) => add("scorer_verdict_tags_total", tag, sample.value),
            ("verdict_actions", Some((_, action))) => {
                add("scorer_verdict_actions_total", action, sample.value);
            }
            ("observed_actions", Some((_, action))) => {
                add("scorer_policy_observed_total", action, sample.value);
            }
            ("listed_calls", Some((_, effect))) => {
                add("scorer_listed_calls_total", effect, sample.value);
            }
            (_, Some((_, cause))) => add("scorer_parse_failures_total", cause, sample.value),
            (name, None) => add("scorer_calls_total", name, sample.value),
        }
    }
    for (name, _, value) in snapshot.assembler.iter() {
        add("scorer_packets_total", name, value);
    }
    let inline = *shared.inline.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(inline) = inline {
        for (name, _, value) in inline.judged.iter() {
            add("scorer_inline_frames_total", name, value);
        }
        add("scorer_inline_lost_total", "", inline.lost);
    }
    add("scorer_ring_records_refused_total", "", snapshot.skipped);
    add("scorer_history_evicted_total", "", snapshot.evicted);
    add("scorer_history_refused_total", "", snapshot.refused);
    add("scorer_turns_total", "", shared.alive.load(Ordering::Relaxed));
    if let Some(profiles) = snapshot.profiles {
        add("scorer_profiles_bytes", "", profiles.bytes);
        add("scorer_profiles_evicted_total", "", profiles.evicted);
    }
    add("scorer_history_bytes", "", snapshot.history);
    add("scorer_output_dropped_total", "", shared.output_dropped.load(Ordering::Relaxed));
    if let Some(records) = &shared.records {
        for (name, label, value) in records.samples() {
            add(name, label, value);
        }
    }
    for (name, label, value) in shared.cluster.iter().flat_map(|cluster| cluster.samples()) {
        add(name, label, value);
    }
    for (name, _, value) in shared.api.iter().flat_map(|api| api.iter()) {
        add("scorer_api_requests_total", name, value);
    }
    for (name, label, value) in shared.consortium.iter().flat_map(|stats| stats.samples()) {
        add(name, label, value);
    }
    add("scorer_build_info", env!("CARGO_PKG_VERSION"), 1);
    for (name, model) in [
        ("scorer_model_info", &snapshot.models.champion),
        ("scorer_challenger_info", &snapshot.models.challenger),
    ] {
        if let Some(model) = model {
            add(name, &format!("{} {:016x}", model.name(), model.id()), 1);
        }
    }
    if let Some(env) = snapshot.env.upgrade() {
        add("scorer_list_entries", "", env.lists.len() as u64);
        add("scorer_list_index_bytes", "", env.lists.bytes() as u64);
        add("scorer_cases", "", env.cases.len() as u64);
        for rule in env.policy.iter().flat_map(|policy| policy.rules()) {
            let name = if rule.dry_run {
                "scorer_policy_dry_run_hits_total"
            } else {
                "scorer_policy_rule_hits_total"
            };
            add(name, &rule.name, rule.hits());
        }
    }
    let trial = &snapshot.trial;
    add("scorer_challenger_calls_total", "agree", trial.agree);
    add("scorer_challenger_calls_total", "champion_only", trial.champion_only);
    add("scorer_challenger_calls_total", "challenger_only", trial.challenger_only);
    for (model, labelled) in ["champion", "challenger"].iter().zip(trial.labelled) {
        for (label, found) in ["genuine", "fraud"].iter().zip(labelled) {
            for (level, count) in ["low", "high"].iter().zip(found) {
                add("scorer_labelled_calls_total", &format!("{model}_{label}_{level}"), count);
            }
        }
    }
    if trial.calls > 0 {
        put("scorer_challenger_score_difference", "", trial.mean_difference());
    }
    if let Some(cluster) = &shared.cluster {
        put("scorer_cluster_lag_seconds", "", cluster.lag());
        for (host, skew) in cluster.skews() {
            put("scorer_cluster_clock_skew_seconds", &host, skew);
        }
    }
    if let Some(process) = super::process::Process::read() {
        put("process_cpu_seconds_total", "", process.cpu_seconds);
        put("process_resident_memory_bytes", "", process.resident_bytes as f64);
        put("process_open_fds", "", process.open_fds as f64);
        put("process_start_time_seconds", "", process.start);
    }
    for (feature, psi) in snapshot.drift.iter().flat_map(|day| &day.index) {
        put("scorer_drift_psi", feature, f64::from(*psi));
    }

    let mut families = Vec::with_capacity(FAMILIES.len());
    for family in FAMILIES {
        let mut out = MetricFamily::default();
        out.set_name(family.name.to_owned());
        out.set_help(family.help.to_owned());
        if family.kind == "histogram" {
            let metrics = histograms(family, shared);
            if !metrics.is_empty() {
                out.set_field_type(MetricType::HISTOGRAM);
                out.set_metric(metrics);
                families.push(out);
            }
            continue;
        }
        let is_counter = family.kind == "counter";
        out.set_field_type(if is_counter { MetricType::COUNTER } else { MetricType::GAUGE });
        // The encoder takes no family without samples: no trial, no day of drift.
        let Some(metrics) = samples.remove(family.name) else { continue };
        out.set_metric(
            metrics
                .into_iter()
                .map(|(label, value)| metric(family.label, label, value, is_counter))
                .collect(),
        );
        families.push(out);
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// One sample. The crate's registry is not used, since the counts are kept
/// elsewhere: a counter is made for the moment, set and collected.
fn metric(label: &str, value: String, count: f64, is_counter: bool) -> Metric {
    let opts = prometheus::Opts::new("sample", "sample");
    let opts = if label.is_empty() { opts } else { opts.const_label(label, value) };
    let families = if is_counter {
        prometheus::Counter::with_opts(opts).map(|counter| {
            counter.inc_by(count);
            counter.collect()
        })
    } else {
        prometheus::Gauge::with_opts(opts).map(|gauge| {
            gauge.set(count);
            gauge.collect()
        })
    };
    // Names and labels are constants of ours and good.
    families
        .ok()
        .and_then(|families| families.into_iter().next())
        .and_then(|mut family| family.take_metric().into_iter().next())
        .unwrap_or_default()
}

/// The histograms of a family; none of stages that do not occur in this mode.
fn histograms(family: &Family, shared: &Shared) -> Vec<Metric> {
    let some = |latency: &Latency| latency.quantile(0.5).is_some();
    match family.name {
        "scorer_latency_seconds" => vec![histogram(&shared.latency)],
        "scorer_inline_delay_seconds" => {
            let delay = &shared.stages.delay;
            if some(delay) { vec![histogram(delay)] } else { Vec::new() }
        }
        _ => {
            let stages = shared.stages.named().into_iter().filter(|(_, latency)| some(latency));
            let labelled = stages.map(|(stage, latency)| {
                let mut metric = histogram(latency);
                let mut pair = LabelPair::default();
                pair.set_name(family.label.to_owned());
                pair.set_value(stage.to_owned());
                metric.set_label(vec![pair]);
                metric
            });
            labelled.collect()
        }
    }
}

fn histogram(latency: &Latency) -> Metric {
    let counts = latency.counts();
    let mut total = 0;
    let mut buckets = Vec::with_capacity(BOUNDS.len());
    for (bound, count) in BOUNDS.iter().zip(counts) {
        total += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e9);
        bucket.set_cumulative_count(total);
        buckets.push(bucket);
    }
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(latency.sum() as f64 / 1e9);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

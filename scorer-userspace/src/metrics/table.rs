//! Names of the metrics.

use std::fmt::Write as _;

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Label, if there is one.
    pub label: &'static str,
    /// What is counted.
    pub help: &'static str,
}

/// All of them. No label carries anything of a call but the classes below.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "scorer_kernel_packets_total",
        kind: "counter",
        label: "class",
        help: "What the XDP program counted, by class.",
    },
    Family {
        name: "scorer_calls_total",
        kind: "counter",
        label: "kind",
        help: "INVITEs and dialog messages in the engine, by kind.",
    },
    Family {
        name: "scorer_verdicts_total",
        kind: "counter",
        label: "level",
        help: "Verdicts by level.",
    },
    Family {
        name: "scorer_verdict_tags_total",
        kind: "counter",
        label: "tag",
        help: "Verdicts by tag.",
    },
    Family {
        name: "scorer_verdict_actions_total",
        kind: "counter",
        label: "action",
        help: "Verdicts by action.",
    },
    Family {
        name: "scorer_policy_observed_total",
        kind: "counter",
        label: "action",
        help: "Verdicts that were held back since the policy only observes, by action.",
    },
    Family {
        name: "scorer_policy_rule_hits_total",
        kind: "counter",
        label: "rule",
        help: "Calls that a rule of the policy decided.",
    },
    Family {
        name: "scorer_policy_dry_run_hits_total",
        kind: "counter",
        label: "rule",
        help: "Calls that a dry run of the policy matched.",
    },
    Family {
        name: "scorer_listed_calls_total",
        kind: "counter",
        label: "effect",
        help: "Calls that lists named, by what that did to the score: capped, raised, contradicted (allowed, but the signalling speaks against it), noted.",
    },
    Family {
        name: "scorer_list_entries",
        kind: "gauge",
        label: "",
        help: "Entries of lists in the index.",
    },
    Family {
        name: "scorer_list_index_bytes",
        kind: "gauge",
        label: "",
        help: "Bytes of the index of lists.",
    },
    Family {
        name: "scorer_parse_failures_total",
        kind: "counter",
        label: "cause",
        help: "SIP messages that could not be read, by cause.",
    },
    Family {
        name: "scorer_packets_total",
        kind: "counter",
        label: "outcome",
        help: "What became of the frames in user space.",
    },
    Family {
        name: "scorer_inline_frames_total",
        kind: "counter",
        label: "outcome",
        help: "Inline mode: what became of the frames that the kernel handed over.",
    },
    Family {
        name: "scorer_inline_lost_total",
        kind: "counter",
        label: "",
        help: "Inline mode: frames lost since there was no memory or no room to send them.",
    },
    Family {
        name: "scorer_ring_records_refused_total",
        kind: "counter",
        label: "",
        help: "Ring records refused for their version or bounds.",
    },
    Family {
        name: "scorer_history_evicted_total",
        kind: "counter",
        label: "",
        help: "History entries that made room for others.",
    },
    Family {
        name: "scorer_history_refused_total",
        kind: "counter",
        label: "",
        help: "Keys that the full history did not let in: a flood of numbers that call once does this.",
    },
    Family {
        name: "scorer_history_bytes",
        kind: "gauge",
        label: "",
        help: "Memory of the history, bytes.",
    },
    Family {
        name: "scorer_profiles_bytes",
        kind: "gauge",
        label: "",
        help: "Memory of callers' profiles, bytes.",
    },
    Family {
        name: "scorer_profiles_evicted_total",
        kind: "counter",
        label: "",
        help: "Callers' profiles that made room for others.",
    },
    Family {
        name: "scorer_cases",
        kind: "gauge",
        label: "",
        help: "Open cases whose profiles are followed.",
    },
    Family {
        name: "scorer_output_dropped_total",
        kind: "counter",
        label: "",
        help: "Verdict lines dropped since standard output was blocked.",
    },
    Family {
        name: "scorer_records_written_total",
        kind: "counter",
        label: "kind",
        help: "Calls and outcomes written to records.",
    },
    Family {
        name: "scorer_records_dropped_total",
        kind: "counter",
        label: "cause",
        help: "Calls and outcomes not recorded: the queue was full, or the disk took nothing.",
    },
    Family {
        name: "scorer_records_paused",
        kind: "gauge",
        label: "",
        help: "1 while recording is paused since the disk takes nothing; calls are scored on.",
    },
    Family {
        name: "scorer_records_bytes_total",
        kind: "counter",
        label: "",
        help: "Bytes appended to records.",
    },
    Family {
        name: "scorer_records_files_total",
        kind: "counter",
        label: "kind",
        help: "Parquet files made of records, and files set aside as damaged.",
    },
    Family {
        name: "scorer_records_queue_deepest",
        kind: "gauge",
        label: "",
        help: "Most calls that waited at once to be recorded.",
    },
    Family {
        name: "scorer_hep_packets_total",
        kind: "counter",
        label: "outcome",
        help: "HEP3 packets sent to the collector, and dropped.",
    },
    Family {
        name: "scorer_deliveries_total",
        kind: "counter",
        label: "outcome",
        help: "Verdicts out of band, by way and what became of them.",
    },
    Family {
        name: "scorer_http_verdicts_total",
        kind: "counter",
        label: "outcome",
        help: "Requests for verdicts over HTTP, by what became of them.",
    },
    Family {
        name: "scorer_api_requests_total",
        kind: "counter",
        label: "outcome",
        help: "Requests to the API, by what became of them.",
    },
    Family {
        name: "scorer_consortium_events_total",
        kind: "counter",
        label: "kind",
        help: "Consortium: events of members that were taken, by kind.",
    },
    Family {
        name: "scorer_consortium_refused_total",
        kind: "counter",
        label: "cause",
        help: "Consortium: messages of members that were refused, by cause (docs/consortium.md).",
    },
    Family {
        name: "scorer_consortium_connected",
        kind: "gauge",
        label: "",
        help: "Consortium: 1 while its NATS server is connected; else calls are scored with what is known.",
    },
    Family {
        name: "scorer_consortium_hub_reachable",
        kind: "gauge",
        label: "",
        help: "Consortium: 1 while the hub answers.",
    },
    Family {
        name: "scorer_consortium_lag",
        kind: "gauge",
        label: "",
        help: "Consortium: messages of the stream that were not read yet.",
    },
    Family {
        name: "scorer_consortium_active_events",
        kind: "gauge",
        label: "",
        help: "Consortium: events that hold.",
    },
    Family {
        name: "scorer_consortium_members",
        kind: "gauge",
        label: "",
        help: "Consortium: members, without those revoked.",
    },
    Family {
        name: "scorer_consortium_epoch",
        kind: "gauge",
        label: "",
        help: "Consortium: the current epoch of pseudonyms.",
    },
    Family {
        name: "scorer_consortium_index_bytes",
        kind: "gauge",
        label: "",
        help: "Consortium: bytes of the index that calls are looked up in.",
    },
    Family {
        name: "scorer_consortium_evaluations_total",
        kind: "counter",
        label: "outcome",
        help: "Consortium in blind mode: tokens that the hub evaluated, that were known, that it refused or was not asked for want of time.",
    },
    Family {
        name: "scorer_consortium_updates_total",
        kind: "counter",
        label: "",
        help: "Consortium in blind mode: verdicts told anew since the match came after them.",
    },
    Family {
        name: "scorer_redirect_events_total",
        kind: "counter",
        label: "event",
        help: "What came to the redirect server, and what became of it.",
    },
    Family {
        name: "scorer_redirect_answers_total",
        kind: "counter",
        label: "code",
        help: "Answers of the redirect server, by SIP status code, without retransmitted ones.",
    },
    Family {
        name: "scorer_latency_seconds",
        kind: "histogram",
        label: "",
        help: "From the kernel's stamp to the verdict.",
    },
    Family {
        name: "scorer_stage_seconds",
        kind: "histogram",
        label: "stage",
        help: "Where the time of a call goes, by stage.",
    },
    Family {
        name: "scorer_inline_delay_seconds",
        kind: "histogram",
        label: "",
        help: "Inline mode: from the kernel's stamp until the frame is in the send ring, of INVITEs scored in time.",
    },
    Family {
        name: "scorer_turns_total",
        kind: "counter",
        label: "",
        help: "Turns of the scoring thread through its chores: some ten a second or more while it is alive.",
    },
    Family {
        name: "scorer_build_info",
        kind: "gauge",
        label: "version",
        help: "1, labelled with the version.",
    },
    Family {
        name: "scorer_model_info",
        kind: "gauge",
        label: "model",
        help: "1, labelled with the model's name and id.",
    },
    Family {
        name: "scorer_challenger_info",
        kind: "gauge",
        label: "model",
        help: "1, labelled with the name and id of the model on trial.",
    },
    Family {
        name: "scorer_challenger_calls_total",
        kind: "counter",
        label: "outcome",
        help: "Calls that both models scored: they agree on whether the level is high, or only one finds it so.",
    },
    Family {
        name: "scorer_challenger_score_difference",
        kind: "gauge",
        label: "",
        help: "Mean difference of the two models' scores, 0 to 100, since the trial began.",
    },
    Family {
        name: "scorer_labelled_calls_total",
        kind: "counter",
        label: "outcome",
        help: "Calls labelled afterwards, by model, label, and whether the model had found the level at least high.",
    },
    Family {
        name: "scorer_drift_psi",
        kind: "gauge",
        label: "feature",
        help: "Population stability index of a feature, or of the score, over the last whole day (UTC) against training; above 0.25 much has changed.",
    },
    Family {
        name: "process_cpu_seconds_total",
        kind: "counter",
        label: "",
        help: "Processor time of all threads.",
    },
    Family {
        name: "process_resident_memory_bytes",
        kind: "gauge",
        label: "",
        help: "Memory in use.",
    },
    Family { name: "process_open_fds", kind: "gauge", label: "", help: "Open file descriptors." },
    Family {
        name: "process_start_time_seconds",
        kind: "gauge",
        label: "",
        help: "When the process began, Unix time.",
    },
    Family {
        name: "scorer_cluster_connected",
        kind: "gauge",
        label: "",
        help: "1 while NATS is connected and nothing waits on disk for it.",
    },
    Family {
        name: "scorer_cluster_facts_total",
        kind: "counter",
        label: "what",
        help: "Facts of calls (calls, outcomes, labels): told by this host; queue_full and spool_dropped are lost; received from others, and of these counted, same_call (another host saw the call, too, and counts it), duplicate (delivered again), missed (lost on their way), clamped (their time was set right).",
    },
    Family {
        name: "scorer_cluster_messages_total",
        kind: "counter",
        label: "what",
        help: "Batches of facts: published, published_again (JetStream had them), received (one's own among them), refused (not of this cluster, or damaged).",
    },
    Family {
        name: "scorer_cluster_bytes_total",
        kind: "counter",
        label: "what",
        help: "Bytes of these batches.",
    },
    Family {
        name: "scorer_cluster_spool_bytes",
        kind: "gauge",
        label: "",
        help: "Bytes that wait on disk for NATS.",
    },
    Family {
        name: "scorer_cluster_lag_seconds",
        kind: "gauge",
        label: "",
        help: "Seconds from when JetStream stored the last batch received to when it came here.",
    },
    Family {
        name: "scorer_cluster_pending_messages",
        kind: "gauge",
        label: "",
        help: "Batches in JetStream that this host has not received yet.",
    },
    Family {
        name: "scorer_cluster_state_total",
        kind: "counter",
        label: "what",
        help: "Entries of lists, labels, cases and what hangs on them: published, applied from others, older (another version counts), refused (it cannot be here).",
    },
    Family {
        name: "scorer_cluster_record_files_total",
        kind: "counter",
        label: "",
        help: "Finished files of records that JetStream took, to be archived.",
    },
    Family {
        name: "scorer_cluster_clock_skew_seconds",
        kind: "gauge",
        label: "host",
        help: "Seconds that the clock of another host of the cluster is ahead of this one's.",
    },
];

/// Stages of `scorer_stage_seconds`.
const STAGES: [(&str, &str); 4] = [
    (
        "wait",
        "From the kernel's stamp until the scoring thread takes the INVITE: in the ring or at the socket, behind others.",
    ),
    ("score", "From there to the verdict."),
    ("deliver", "Handing the verdict to its ways, records and output; of one call in sixteen."),
    (
        "send",
        "Inline mode: from the verdict until the frame, tagged or as it came, is in the send ring.",
    ),
];

/// docs/metrics.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\nGenerated by `scorer metrics`; do not edit.\n\n\
         Served as Prometheus text on `/metrics` when `metrics.listen` or `--metrics` is set. Labels \
         never carry numbers, addresses or names of callers; rules are named by the operator, 512 at most.\n\n\
         | metric | kind | label | what |\n|---|---|---|---|\n",
    );
    for Family { name, kind, label, help } in FAMILIES {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {label} | {help} |");
    }
    let _ = writeln!(
        text,
        "\n## Classes of `scorer_kernel_packets_total`\n\n| class | what |\n|---|---|"
    );
    for counter in scorer_common::Counter::ALL {
        let _ = writeln!(text, "| `{}` |{} |", counter.name(), counter.help());
    }
    let _ = writeln!(
        text,
        "\n## Stages of `scorer_stage_seconds`\n\n\
         Of calls whose INVITE came in one frame. `wait` and `score` together are \
         `scorer_latency_seconds`.\n\n| stage | what |\n|---|---|"
    );
    for (name, help) in STAGES {
        let _ = writeln!(text, "| `{name}` | {help} |");
    }
    let _ =
        writeln!(text, "\n## Outcomes of `scorer_packets_total`\n\n| outcome | what |\n|---|---|");
    for (name, help, _) in crate::capture::AssemblerStats::default().iter() {
        let _ = writeln!(text, "| `{name}` |{help} |");
    }
    let mut outcomes = |title: &str, rows: &mut dyn Iterator<Item = (&str, &str, u64)>| {
        let _ = writeln!(text, "\n## {title}\n\n| outcome | what |\n|---|---|");
        for (name, help, _) in rows {
            let _ = writeln!(text, "| `{name}` | {} |", help.trim());
        }
    };
    let deliveries = crate::verdict::deliver::DeliveryStats::default();
    outcomes("Outcomes of `scorer_deliveries_total`", &mut deliveries.iter());
    let http = crate::verdict::http::HttpStats::default();
    outcomes("Outcomes of `scorer_http_verdicts_total`", &mut http.iter());
    let api = crate::api::ApiStats::default();
    outcomes("Outcomes of `scorer_api_requests_total`", &mut api.iter());
    let redirect = crate::verdict::redirect::RedirectEvents::default();
    outcomes("Events of `scorer_redirect_events_total`", &mut redirect.iter());
    let causes = crate::share::Refusal::ALL.iter().map(|cause| (cause.name(), cause.help(), 0));
    outcomes("Causes of `scorer_consortium_refused_total`", &mut causes.into_iter());
    outcomes(
        "Outcomes of `scorer_inline_frames_total`",
        &mut crate::inline::JudgeStats::default().iter(),
    );
    let _ = writeln!(text, "\n## Kinds of `scorer_calls_total`\n\n| kind | what |\n|---|---|");
    for sample in crate::engine::EngineStats::default().iter().filter(|s| s.label.is_none()) {
        let _ = writeln!(text, "| `{}` | {} |", sample.name, sample.help);
    }
    text
}

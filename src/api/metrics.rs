//! Counters for Prometheus.

use super::AppState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tombolo::answers::AnswerError;
use tombolo::graph::NameLookup;
use tombolo::store::Snapshot;
use tombolo::sync::JobStatus;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

/// The counters of the server.
pub struct ServerMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
    finalizes: Histogram,
    received: Counter,
    /// Connections that are open.
    pub connections: Gauge,
}

impl ServerMetrics {
    /// All at zero.
    pub fn new() -> ServerMetrics {
        let mut registry = Registry::with_prefix("tombolo");
        let requests = Family::default();
        let seconds = Histogram::new(exponential_buckets(0.0005, 4.0, 10));
        let finalizes = Histogram::new(exponential_buckets(0.005, 4.0, 10));
        let (received, connections) = (Counter::default(), Gauge::default());
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_request_seconds", "Time to the answer", seconds.clone());
        registry.register("finalize_seconds", "Time of a finalize", finalizes.clone());
        registry.register("http_received_bytes", "Bytes of bodies, unpacked", received.clone());
        registry.register("http_connections", "Open connections", connections.clone());
        ServerMetrics { registry, requests, seconds, finalizes, received, connections }
    }

    /// Counts an answer. `route` is the pattern, so that ids make no labels.
    pub fn answered(&self, method: &str, route: &str, status: u16, time: Duration) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(time.as_secs_f64());
    }

    /// Counts bytes of a body.
    pub fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// Counts a finalize.
    pub fn finalized(&self, time: Duration) {
        self.finalizes.observe(time.as_secs_f64());
    }

    /// All of it as Prometheus reads it, with the state of the database as of now. A database that
    /// cannot be read costs its own figures, not those of the server.
    pub fn text(&self, app: &AppState) -> String {
        let state = DatabaseState::read(app).unwrap_or_else(|e| {
            tracing::warn!(error = %e, "the figures of the database cannot be read");
            Registry::default()
        });
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        let _ = encode_registry(&mut text, &state);
        let _ = encode_eof(&mut text);
        text
    }
}

/// Scopes that have a figure of their own; a label for each of a million would harm who collects them.
const SCOPES_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScopeLabels {
    scope: String,
}

/// The figures of the database, made anew for each look.
struct DatabaseState(Registry);

impl DatabaseState {
    fn read(app: &AppState) -> Result<Registry, AnswerError> {
        let mut state = DatabaseState(Registry::with_prefix("tombolo"));
        let beside = app.database.jobs_beside()?;
        let snapshot = app.database.snapshot()?;
        let count = |status| beside.iter().filter(|report| report.status == status).count() as i64;
        state.put("jobs_held", "Jobs that wait for approval", count(JobStatus::Held));
        state.put("jobs_open", "Jobs that take uploads", count(JobStatus::AwaitingUploads));
        state.put("revision", "Commits of the file", snapshot.meta().revision as i64);
        let bytes = std::fs::metadata(app.database.file_path()).map_or(0, |found| found.len());
        state.put("file_bytes", "Size of the file", bytes as i64);
        let mut times = app.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.read_on(&snapshot)?;
        let ends = times.with(&beside);
        drop(times);
        state.ages(&snapshot, ends)?;
        drop(snapshot);
        // Faults of the questions are for whoever wrote them, and cost this figure only.
        match app.asked.ask(app) {
            Ok((questions, _)) => {
                let failing = questions.iter().filter(|question| !question.holds).count();
                let about = "Saved questions that are not as expected";
                state.put("questions_failing", about, failing as i64);
            }
            Err(e) => tracing::warn!(error = %e, "the saved questions cannot be asked"),
        }
        if let Some(watch) = &app.watch {
            let about = "Events that wait for a webhook";
            state.put("webhook_deliveries_waiting", about, watch.queued() as i64);
        }
        Ok(state.0)
    }

    fn put(&mut self, name: &str, about: &str, value: i64) {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        self.0.register(name, about, gauge);
    }

    /// Ages of live scopes, the oldest first if there are too many.
    fn ages(
        &mut self,
        snapshot: &Snapshot,
        ends: BTreeMap<String, i64>,
    ) -> Result<(), AnswerError> {
        let rows = snapshot.scope_rows()?;
        let live = rows.iter().filter(|(_, row)| row.owner().is_some());
        let live: BTreeSet<&str> = live.map(|(scope, _)| snapshot.name(*scope)).collect();
        self.put("scopes", "Scopes with live objects", live.len() as i64);
        let mut ages: Vec<(String, i64)> =
            ends.into_iter().filter(|(scope, _)| live.contains(scope.as_str())).collect();
        ages.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        ages.truncate(SCOPES_MAX);
        let family: Family<ScopeLabels, Gauge<f64, AtomicU64>> = Family::default();
        let now = super::now();
        for (scope, end) in ages {
            let age = now.saturating_sub(end).max(0) as f64 / 1000.0;
            family.get_or_create(&ScopeLabels { scope }).set(age);
        }
        let about = "Time since the end of the last job of a scope";
        self.0.register("scope_last_job_age_seconds", about, family);
        Ok(())
    }
}

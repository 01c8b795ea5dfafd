//! Counters for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

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

    /// All of it as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

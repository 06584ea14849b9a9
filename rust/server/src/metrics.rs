//! What the server counts, in Prometheus' text format.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::protocol::Protocol;

/// From 0.1 ms to 30 s, about three to each factor of ten.
const SECONDS: [f64; 17] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Served {
    model: String,
    protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    model: String,
    protocol: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

#[derive(Debug, Clone)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

type Times = Family<Served, Histogram, Seconds>;

/// All that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Ended, Counter<u64, AtomicU64>>,
    refused: Family<Refused, Counter<u64, AtomicU64>>,
    tokens: Family<Served, Counter<u64, AtomicU64>>,
    running: Family<Served, Gauge<i64, AtomicI64>>,
    /// Requests that wait for their turn.
    pub(crate) waiting: Gauge<i64, AtomicI64>,
    ttft: Times,
    itl: Times,
    own: Times,
}

/// The counters of one exchange, looked up once.
pub(crate) struct Counters {
    metrics: Arc<Metrics>,
    served: Served,
    pub(crate) tokens: Counter<u64, AtomicU64>,
    pub(crate) ttft: Histogram,
    pub(crate) itl: Histogram,
    pub(crate) own: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("headrace");
        let (requests, refused) = (Family::default(), Family::default());
        let (tokens, running, waiting) = (Family::default(), Family::default(), Gauge::default());
        let [ttft, itl, own] = [(); 3].map(|()| Times::new_with_constructor(Seconds));
        registry.register("requests", "Requests that were answered, by how they ended", requests.clone());
        registry.register("refused", "Requests that no agent was asked, by the reason", refused.clone());
        registry.register("tokens", "Pieces of text and reasoning that were sent", tokens.clone());
        registry.register("streams", "Answers under way", running.clone());
        registry.register("waiting", "Requests that wait for their turn", waiting.clone());
        let seconds = |registry: &mut Registry, name: &str, help: &str, times: &Times| {
            registry.register_with_unit(name, help, Unit::Seconds, times.clone());
        };
        seconds(
            &mut registry,
            "time_to_first_token",
            "From the request to the first piece of the answer",
            &ttft,
        );
        seconds(&mut registry, "inter_token_latency", "Between two writes of the answer", &itl);
        seconds(
            &mut registry,
            "own_latency",
            "From a piece's arrival from the model to the client's socket",
            &own,
        );
        Arc::new(Self { registry, requests, refused, tokens, running, waiting, ttft, itl, own })
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A request that no agent was asked.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Refused { reason }).inc();
    }

    /// The counters of an exchange that begins.
    pub(crate) fn begin(self: &Arc<Self>, model: &str, protocol: Protocol) -> Counters {
        let served = Served { model: model.to_owned(), protocol: protocol.name() };
        self.running.get_or_create(&served).inc();
        Counters {
            tokens: self.tokens.get_or_create(&served).clone(),
            ttft: self.ttft.get_or_create(&served).clone(),
            itl: self.itl.get_or_create(&served).clone(),
            own: self.own.get_or_create(&served).clone(),
            metrics: Arc::clone(self),
            served,
        }
    }
}

impl Counters {
    /// The exchange has ended.
    pub(crate) fn end(&self, outcome: &'static str) {
        self.metrics.running.get_or_create(&self.served).dec();
        let Served { model, protocol } = self.served.clone();
        self.metrics.requests.get_or_create(&Ended { model, protocol, outcome }).inc();
    }
}

//! Sending spans to a collector: OTLP over HTTP, in batches, from a thread of its own behind a queue of a fixed length. A collector that is
//! slow or away costs spans and nothing else.

use super::{Refusal, TARGET};
use crate::config;
use crate::error::Result;
use crate::tls;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use ureq::Agent;

/// A collector that takes longer for a batch loses it.
const LONGEST: Duration = Duration::from_secs(5);
/// Spans that wait to be sent, at most; more are dropped.
const WAITING: usize = 4_096;
/// How long spans wait for others to go with.
const TOGETHER: Duration = Duration::from_secs(2);
/// What is read of an answer.
const ANSWER_BYTES: u64 = 64 * 1024;

/// What sends.
pub(super) struct Export(SdkTracerProvider);

impl Export {
    /// With the layer that gives it what to send.
    pub(super) fn new<S>(config: &config::Traces) -> Result<(Export, impl Layer<S>)>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let cannot = |e: &dyn std::fmt::Display| Refusal::BadSetting { what: format!("cannot be used: {e}") };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new())
            .with_endpoint(&config.endpoint)
            .with_timeout(LONGEST)
            .build()
            .map_err(|e| cannot(&e))?;
        let batches = BatchConfigBuilder::default().with_max_queue_size(WAITING).with_scheduled_delay(TOGETHER).build();
        let part = match config.sample_percent {
            100 => Sampler::AlwaysOn,
            percent => Sampler::TraceIdRatioBased(of_one(percent)),
        };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            // A trace that has begun elsewhere is whole or not at all.
            .with_sampler(Sampler::ParentBased(Box::new(part)))
            .with_resource(Resource::builder().with_service_name(config.service.clone()).build())
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("tributary"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // A span that is active has begun, and keeps the name that it began with; a request learns its route at its end.
            .with_context_activation(false)
            // Spans of ours alone: what the log says may name things.
            .with_filter(filter_fn(|of| of.is_span() && of.target() == TARGET));
        Ok((Export(provider), layer))
    }

    /// Sends what waits, for a moment.
    pub(super) fn end(self) {
        let _ = self.0.shutdown_with_timeout(LONGEST);
    }
}

#[expect(clippy::float_arithmetic, reason = "the part of traces that is kept is no money")]
fn of_one(percent: u8) -> f64 {
    f64::from(percent) / 100.0
}

/// The two headers of W3C Trace Context.
struct Headers<'h>(Option<&'h str>, Option<&'h str>);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.0,
            "tracestate" => self.1,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// Makes a span part of the trace that a request comes from.
pub(super) fn continue_from(span: &Span, (parent, state): (Option<&str>, Option<&str>)) {
    if parent.is_some() && !span.is_disabled() {
        // Without a layer there is nothing to continue.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(parent, state)));
    }
}

/// Posts batches; the log hears of the first that fails, and of the first that goes again.
#[derive(Debug)]
struct Client {
    agent: Agent,
    is_failing: AtomicBool,
}

impl Client {
    fn new() -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(LONGEST))
            .tls_config(tls::of_the_system());
        Client { agent: config.build().into(), is_failing: AtomicBool::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let sent = self.agent.run(Request::from_parts(head, body.to_vec()));
        let why = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status().as_u16())),
            Err(e) => Some(e.to_string()),
        };
        match (&why, self.is_failing.swap(why.is_some(), Ordering::Relaxed)) {
            (Some(why), false) => tracing::warn!(why, "the collector takes no traces; they are dropped until it does"),
            (None, true) => tracing::warn!("the collector takes traces again"),
            _ => {}
        }
        let (head, mut body) = sent?.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(head, Bytes::from(body)))
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    // It is asked on the thread of the exporter, which may wait.
    fn send_bytes<'life, 'sent>(&'life self, request: Request<Bytes>) -> Sent<'sent>
    where
        'life: 'sent,
        Self: 'sent,
    {
        Box::pin(std::future::ready(self.send(request)))
    }
}

//! Traces for OpenTelemetry: what each request waited for, and each commit of the writer. Off unless `[traces]` names a collector.
//!
//! The spans are made whether anybody collects them or not: while nobody does, making one is a look at a flag. What sends them is the
//! cargo feature `otel`, for its dependencies are many; a configuration that asks for it in a build without it is refused.
//! A span says method, route, status, the id of the request and what kind of principal asked: no path, which may name things, and
//! nobody.

use crate::config::{self, LogFormat, LogLevel};
use crate::error::Result;
use std::fmt;
use tracing::field::Empty;
use tracing::{Span, trace_span};

#[cfg(feature = "otel")]
mod export;

/// What all spans are found by. They are at the finest level, so that they do not stand before each line of a log.
const TARGET: &str = "tributary::spans";

/// Sends spans until it is dropped, which waits a moment for what is still to be sent.
pub struct Exporting {
    #[cfg(feature = "otel")]
    export: Option<export::Export>,
}

/// Why nothing can be traced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is what its message names")]
pub enum Refusal {
    /// A setting that cannot be.
    BadSetting { what: String },
    /// This build sends none.
    NotBuilt,
}

impl crate::error::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::BadSetting { .. } => "bad_traces_setting",
            Refusal::NotBuilt => "traces_not_built",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadSetting { what } => write!(f, "[traces] {what}"),
            Refusal::NotBuilt => f.write_str("[traces] endpoint names a collector, and this build sends no traces: build with `--features otel`, or leave it empty"),
        }
    }
}

/// Refuses what cannot be done, before anything is.
pub fn refuse(config: &config::Traces) -> Result<()> {
    if config.endpoint.is_empty() {
        return Ok(());
    }
    let bad = |what: &str| Refusal::BadSetting { what: what.to_owned() }.into();
    let uri: Option<ureq::http::Uri> = config.endpoint.parse().ok();
    if !uri.is_some_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some()) {
        return Err(bad("endpoint is a URL such as http://127.0.0.1:4318/v1/traces"));
    }
    if !(1..=100).contains(&config.sample_percent) {
        return Err(bad("sample_percent is from 1 to 100"));
    }
    if cfg!(feature = "otel") { Ok(()) } else { Err(Refusal::NotBuilt.into()) }
}

/// Makes the log, which goes to standard error: a server's as it is configured, that of a command only warnings. And sends spans where the
/// configuration says so. Once in a process.
pub fn start(config: Option<(&config::Log, &config::Traces)>) -> Result<Exporting> {
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let level = match config.map_or(LogLevel::Warn, |(log, _)| log.level) {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("TRIBUTARY_LOG").unwrap_or_else(|_| level.into());
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = match config.map_or(LogFormat::Text, |(log, _)| log.format) {
        LogFormat::Text => log.boxed(),
        // Spans are not for people who read logs; what a line says of its request, it says itself.
        LogFormat::Json => log.json().with_current_span(false).with_span_list(false).flatten_event(true).boxed(),
    };
    let log = log.with_filter(filter);
    let config = config.map(|(_, traces)| traces);
    let Some(config) = config.filter(|c| !c.endpoint.is_empty()) else {
        tracing_subscriber::registry().with(log).init();
        return Ok(Exporting {
            #[cfg(feature = "otel")]
            export: None,
        });
    };
    refuse(config)?;
    #[cfg(feature = "otel")]
    {
        let (export, layer) = export::Export::new(config)?;
        tracing_subscriber::registry().with(log).with(layer).init();
        Ok(Exporting { export: Some(export) })
    }
    #[cfg(not(feature = "otel"))]
    Err(Refusal::NotBuilt.into())
}

#[cfg(feature = "otel")]
impl Drop for Exporting {
    fn drop(&mut self) {
        if let Some(export) = self.export.take() {
            export.end();
        }
    }
}

/// A request, from its head to its answer. `parent`: the headers `traceparent` and `tracestate`, where it is part of a trace.
pub fn request(method: &str, id: &str, parent: (Option<&str>, Option<&str>)) -> Span {
    let span = trace_span!(
        target: TARGET,
        "request",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        tributary.request_id = id,
        tributary.principal = Empty,
    );
    #[cfg(feature = "otel")]
    export::continue_from(&span, parent);
    #[cfg(not(feature = "otel"))]
    let _ = parent;
    span
}

/// What became of a request: its route as the table of operations has it, and its status.
pub fn answered(span: &Span, method: &str, route: Option<&str>, status: u16) {
    if span.is_disabled() {
        return;
    }
    if let Some(route) = route {
        span.record("http.route", route);
        span.record("otel.name", format!("{method} {route}"));
    }
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// What kind of principal asks.
pub fn asked_by(kind: &'static str) {
    Span::current().record("tributary.principal", kind);
}

/// A command, while it waits for its commit.
pub fn command(name: &'static str) -> Span {
    trace_span!(target: TARGET, "command", otel.name = format!("write {name}"), tributary.command = name)
}

/// A group of commands that the writer commits together: of many requests, so of none.
pub fn commit(commands: usize) -> Span {
    trace_span!(target: TARGET, parent: None, "commit", tributary.commands = commands)
}

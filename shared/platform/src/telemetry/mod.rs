//! Logs: JSON in Lambda, lines for people elsewhere. Metrics: in Lambda alone.

pub mod metrics;

use std::panic::{self, PanicHookInfo};

use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Environment;

/// The drivers of databases log rows, parameters, and what a server says of them. They are not heard, whatever is
/// asked for: `RUST_LOG` may name a part of one, and there the longest name counts.
const SILENCED: [&str; 2] = ["tiberius", "tokio_postgres"];
/// What these libraries call `info` is their every step. `RUST_LOG` may name them to hear it.
const QUIET: &str = "buoyant_kernel=warn,delta_kernel=warn,deltalake_core=warn";

/// How lines of a log are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// Starts logging to standard error, of panics too. A second call changes nothing.
pub fn start(environment: &Environment) {
    start_as(&environment.log_filter, if environment.in_lambda { LogFormat::Json } else { LogFormat::Text });
}

fn start_as(log_filter: &str, format: LogFormat) {
    let builder = tracing_subscriber::fmt().with_env_filter(asked_for(log_filter));
    let builder = builder.with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => {
            let lines = builder.json().with_current_span(true).flatten_event(true);
            lines.finish().with(filter_fn(may_be_heard)).try_init()
        }
        LogFormat::Text => builder.with_target(false).finish().with(filter_fn(may_be_heard)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    panic::set_hook(Box::new(log_panic));
}

/// What `RUST_LOG` asks for; `info` where it cannot be understood.
fn asked_for(log_filter: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{QUIET},{log_filter}")).unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")))
}

/// Whether something is of no library, and no part of one, that is silenced.
fn may_be_heard(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    !SILENCED.contains(&library)
}

/// Logs where a panic is, and not what it says: it may quote the row that it is about.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "panicked");
}

/// Starts logging for the command line: problems only, unless `RUST_LOG` asks for more. What a run
/// does is shown by its progress and its summary.
pub fn start_for_terminal(format: LogFormat) {
    start_as(&Environment::read_log_filter().unwrap_or_else(|| "error".to_owned()), format);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Captured;

    #[test]
    fn of_a_panic_the_log_has_the_place_and_not_the_message() {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt().with_writer(captured.clone()).finish();
        let before = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let caught = tracing::subscriber::with_default(subscriber, || {
            panic::catch_unwind(|| panic!("invalid digit in `Quillon Fictor`"))
        });
        panic::set_hook(before);
        assert!(caught.is_err());
        let logged = captured.text();
        assert!(logged.contains("panicked") && logged.contains(file!()), "{logged}");
        assert!(!logged.contains("Fictor"), "{logged}");
    }

    #[rstest::rstest]
    #[case("trace")]
    #[case("error,tiberius=trace,tokio_postgres=trace")]
    #[case("info,tiberius::tds=trace,tokio_postgres::query=trace")]
    fn the_drivers_of_databases_are_not_heard_whatever_is_asked_for(#[case] log_filter: &str) {
        let captured = Captured::default();
        let subscriber = tracing_subscriber::fmt().with_env_filter(asked_for(log_filter)).with_writer(captured.clone());
        tracing::subscriber::with_default(subscriber.finish().with(filter_fn(may_be_heard)), || {
            tracing::error!(target: "tiberius", "a row of Quillon Fictor");
            tracing::trace!(target: "tiberius::tds::stream", "a row of Quillon Fictor");
            tracing::error!(target: "tokio_postgres::query", "a parameter of Quillon Fictor");
            tracing::error!(target: "tiberius_like", "something else");
            tracing::error!("an error of our own");
        });
        let logged = captured.text();
        assert!(!logged.contains("Fictor"), "{logged}");
        assert!(logged.contains("something else") && logged.contains("an error of our own"), "{logged}");
    }
}

//! Logs: JSON in Lambda, lines for people elsewhere. Metrics: in Lambda alone.

pub mod metrics;

use std::panic::{self, PanicHookInfo};

use tracing_subscriber::EnvFilter;

use crate::config::Environment;

/// The driver of SQL Server logs rows, and what a server says of them, whatever is asked for.
const SILENCED: &str = "tiberius=off";
/// What these libraries call `info` is their every step. `RUST_LOG` may name them to hear it.
const QUIET: &str = "buoyant_kernel=warn,delta_kernel=warn,deltalake_core=warn";

/// Starts logging to standard error, of panics too. A second call changes nothing.
pub fn start(environment: &Environment) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", environment.log_filter));
    let mut filter = filter.unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    if let Ok(silence) = SILENCED.parse() {
        filter = filter.add_directive(silence);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if environment.in_lambda {
        builder.json().with_current_span(true).flatten_event(true).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    panic::set_hook(Box::new(log_panic));
}

/// Logs where a panic is, and not what it says: it may quote the row that it is about.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "panicked");
}

/// Starts logging for the command line: problems only, unless `RUST_LOG` asks for more. What a run
/// does is told by its progress and its summary.
pub fn start_for_terminal() {
    let log_filter = Environment::read_log_filter().unwrap_or_else(|| "error".to_owned());
    start(&Environment { log_filter, ..Environment::default() });
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
}

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use rcm::command::{self, Arguments};

#[tokio::main]
async fn main() -> ExitCode {
    rcm_platform::crypto::install();
    let arguments = Arguments::parse();
    rcm_platform::telemetry::start_for_terminal(arguments.log_format());
    match command::carry_out(arguments).await {
        Ok(answer) => {
            // A closed pipe is no error: the reader needs no more output.
            let _ = std::io::stdout().write_all(answer.text.as_bytes());
            answer.exit
        }
        Err(error) => {
            let _ = write!(std::io::stderr(), "rcm: {}", rcm::hint::with_hint(&error));
            command::nothing_done()
        }
    }
}

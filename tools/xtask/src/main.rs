use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (text, code) = match xtask::run(&root, &arguments) {
        Ok(done) => (done, ExitCode::SUCCESS),
        Err(error) => (error.to_string(), ExitCode::FAILURE),
    };
    // Nobody is left to tell that nobody listens.
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    code
}

//! `forebay version`: which Forebay this is, and whose behaviour it has. `--version` says the same.

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::Args;
use serde::Serialize;

use crate::options::Output;
use crate::stdout;

/// What `--version` prints after the program's name.
pub static LONG: LazyLock<String> =
    LazyLock::new(|| format!("{FOREBAY}\nupstream behaviour of nginx {}", balance::NGINX_VERSION));

const FOREBAY: &str = env!("CARGO_PKG_VERSION");

/// Print the version, and that of the nginx whose upstream behaviour it has
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// How it is printed
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    output: Output,
}

/// The JSON output.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    nginx: &'static str,
}

/// The command.
pub fn run(args: &VersionArgs) -> ExitCode {
    let text = match args.output {
        Output::Text => format!("forebay {}\n", *LONG),
        Output::Json => {
            let version = Version { version: FOREBAY, nginx: balance::NGINX_VERSION };
            // Two strings have no fallible serializer.
            serde_json::to_string_pretty(&version).unwrap_or_default() + "\n"
        }
    };
    stdout::conclude("version", &text, ExitCode::SUCCESS)
}

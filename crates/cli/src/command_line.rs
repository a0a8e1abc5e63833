//! The command line and the environment beside it. Flags may be given by `FOREBAY_...` too, which is where a Deployment gives
//! them: one that is empty is unset, and what is wrong with one is said of the variable, which nobody finds by the flag's name.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::Cli;

/// Flags that do nothing unless another is given, or while one is: a command, the flag, the other, whether it must be there.
const IDLE: [(&str, &str, &str, bool); 3] = [
    ("run", "context", "config", false),
    ("run", "watch_namespace", "config", false),
    ("check", "kubeconfig", "of_cluster", true),
];

/// Reads the command line; ends the process if it cannot be understood, or asks for help.
pub fn parse() -> Cli {
    let mut command = without_empty_variables(Cli::command());
    let typed: Vec<OsString> = std::env::args_os().collect();
    let matches = match command.try_get_matches_from_mut(&typed) {
        Ok(matches) => matches,
        Err(error) => refuse(&command, &error, &typed),
    };
    if let Err(error) = idle(&mut command, &matches) {
        error.exit();
    }
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command with the variables unset that are empty.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if arg.get_env().is_some_and(is_empty) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// Says what cannot be understood, and where it stands.
fn refuse(command: &Command, error: &clap::Error, typed: &[OsString]) -> ! {
    // Standard error is gone: the exit code is left.
    let _ = error.print();
    if let Some(variable) = variable_of(command, error, typed) {
        eprintln!("\nThe value is that of the environment variable {}.", variable.display());
    }
    std::process::exit(error.exit_code())
}

/// The variable that holds the value an error is about, if it was not typed.
fn variable_of<'c>(command: &'c Command, error: &clap::Error, typed: &[OsString]) -> Option<&'c OsStr> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let Some(ContextValue::String(about)) = error.get(ContextKind::InvalidArg) else { return None };
    let of = typed.iter().filter_map(|word| word.to_str()).find_map(|word| command.find_subcommand(word))?;
    let arg = of.get_arguments().find(|arg| arg.to_string() == *about)?;
    let flag = format!("--{}", arg.get_long()?);
    let is_flag = |word: &OsString| {
        word.to_str()
            .and_then(|word| word.strip_prefix(&flag))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if typed.iter().any(is_flag) {
        return None;
    }
    arg.get_env().filter(|name| std::env::var_os(name).is_some())
}

/// Refuses flags that were typed and would do nothing. Variables may stand in an environment for another command.
fn idle(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let is_given = |id: &str| matches.value_source(id).is_some_and(|source| source != ValueSource::DefaultValue);
    for (of, flag, other, needed) in IDLE {
        if of == name && is_typed(flag) && is_given(other) != needed {
            let dashed = |id: &str| match id {
                "of_cluster" => "--cluster".to_owned(),
                id => format!("--{}", id.replace('_', "-")),
            };
            let when = if needed { "without" } else { "with" };
            let problem = format!("{} does nothing {when} {}", dashed(flag), dashed(other));
            let Some(command) = command.find_subcommand_mut(of) else { continue };
            return Err(command.error(ErrorKind::ArgumentConflict, problem));
        }
    }
    Ok(())
}

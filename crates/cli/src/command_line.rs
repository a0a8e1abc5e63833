//! The command line and the environment beside it. Flags may be given by `FOREBAY_...` too, which is where a Deployment gives
//! them: one that is empty is unset, and what is wrong with one is said of the variable, which nobody finds by the flag's name.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::{Cli, check, proxy, run};

/// Headings of flags that belong to a source: they do nothing unless one of these arguments is given.
const OF_A_SOURCE: [(&str, &[&str]); 3] = [
    (run::OF_CLUSTER, &["in_cluster", "kubeconfig"]),
    (check::OF_CLUSTER, &["of_cluster"]),
    (proxy::KEPT, &["state_dir"]),
];

/// Reads the command line; ends the process if it cannot be understood, or asks for help.
pub fn parse() -> Cli {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let mut command = without_outvoted_variables(without_idle_variables(Cli::command()), &typed);
    let matches = match command.try_get_matches_from_mut(&typed) {
        Ok(matches) => matches,
        Err(error) => refuse(&command, &error, &typed),
    };
    if let Err(error) = refuse_idle(&mut command, &matches) {
        error.exit();
    }
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command with the variables unset that say nothing.
fn without_idle_variables(command: Command) -> Command {
    command
        .mut_args(|arg| if is_idle_variable(&arg) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_idle_variables)
}

/// Whether a flag's variable is empty, or says `false` of one that is given or not: either would count as given.
fn is_idle_variable(arg: &Arg) -> bool {
    let says_no = |value: &OsStr| matches!(arg.get_action(), ArgAction::SetTrue) && value == "false";
    arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty() || says_no(&value))
}

/// The command without the variables of the sources that were not typed, if one was: they may stand there for another command.
fn without_outvoted_variables(command: Command, typed: &[OsString]) -> Command {
    let is_source = |arg: &Arg| run::SOURCES.contains(&arg.get_id().as_str());
    command.mut_subcommand("run", |run| {
        if run.get_arguments().filter(|arg| is_source(arg)).any(|arg| is_typed(arg, typed)) {
            run.mut_args(|arg| if is_source(&arg) { arg.env(None::<&'static str>) } else { arg })
        } else {
            run
        }
    })
}

/// Whether a flag stands among the words of the command line.
fn is_typed(flag: &Arg, typed: &[OsString]) -> bool {
    let Some(flag) = flag.get_long().map(|long| format!("--{long}")) else { return false };
    let rests = typed.iter().filter_map(|word| word.to_str()?.strip_prefix(&flag));
    rests.into_iter().any(|rest| rest.is_empty() || rest.starts_with('='))
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
    if is_typed(arg, typed) {
        return None;
    }
    arg.get_env().filter(|name| std::env::var_os(name).is_some())
}

/// Refuses flags that were typed and would do nothing. Variables may stand in an environment for another command.
fn refuse_idle(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    let Some(command) = command.find_subcommand_mut(name) else { return Ok(()) };
    let problem = idle(command, matches);
    problem.map_or(Ok(()), |problem| Err(command.error(ErrorKind::ArgumentConflict, problem)))
}

/// The first flag that was typed and does nothing without another.
fn idle(command: &Command, matches: &ArgMatches) -> Option<String> {
    let source = |flag: &Arg| matches.value_source(flag.get_id().as_str());
    let dashed = |flag: &Arg| format!("--{}", flag.get_long().unwrap_or_default());
    for flag in command.get_arguments().filter(|flag| source(flag) == Some(ValueSource::CommandLine)) {
        let of_heading = OF_A_SOURCE.iter().find(|(heading, _)| flag.get_help_heading() == Some(*heading));
        let Some((_, sources)) = of_heading else { continue };
        let sources: Vec<_> = command.get_arguments().filter(|arg| sources.contains(&arg.get_id().as_str())).collect();
        if sources.iter().all(|arg| source(arg).is_none_or(|source| source == ValueSource::DefaultValue)) {
            let sources: Vec<_> = sources.into_iter().map(dashed).collect();
            return Some(format!("{} does nothing without {}", dashed(flag), sources.join(" or ")));
        }
    }
    None
}

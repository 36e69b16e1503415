//! The command line: parsing, and hints for what is not known.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use deepfit_data::nearest;
use deepfit_train::Settings;

use crate::commands::Command;
use crate::{exit, output};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "deepfit",
    version,
    about = "Deep learning on the computer you have: train a network on your own pictures and tables, measure it, use it.",
    after_help = "Examples:
  deepfit train examples/digits.zip             train on pictures
  deepfit train houses.csv --target price       train on a table
  deepfit evaluate runs/digits-1 more-digits/   measure on other data
  deepfit predict runs/digits-1 picture.png     use the network
  deepfit inspect runs/digits-1                 see layers, sizes and memory

Nothing is sent or fetched over the network, but by `deepfit models pull`.
`deepfit COMMAND --help` tells more about a command.",
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// Parses the command line; help and errors are printed here.
///
/// # Errors
/// The exit code, if there is nothing more to do.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, u8> {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => Ok(arguments.command),
        Err(mut error) => {
            hint(&mut error);
            let printed = error.print();
            match printed {
                Err(unwritten) if !error.use_stderr() => Err(exit::report(&output::stdout_error(unwritten))),
                _ => Err(u8::try_from(error.exit_code()).unwrap_or(1)),
            }
        }
    }
}

/// The definition of the command line, for completions.
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// Adds what the parser cannot know: the nearest name when none is close, settings spelled as options, and data where a
/// sub-command belongs.
fn hint(error: &mut clap::Error) {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let suggestion = match error.kind() {
        ErrorKind::UnknownArgument => {
            let option = text(ContextKind::InvalidArg).unwrap_or_default();
            // The name of a setting is meant, whatever option is written in a similar way.
            let is_setting = Settings::is_key(option.trim_start_matches('-').split('=').next().unwrap_or_default());
            if is_setting {
                error.remove(ContextKind::SuggestedArg);
            }
            let open = error.get(ContextKind::SuggestedArg).is_none();
            Some(option).filter(|_| open).and_then(|option| hint_for_option(&option))
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(ContextKind::InvalidSubcommand);
            // A path may be like the name of a command, and is none.
            let is_path = name.as_ref().is_some_and(|name| std::path::Path::new(name).exists());
            if is_path {
                error.remove(ContextKind::SuggestedSubcommand);
            }
            let open = error.get(ContextKind::SuggestedSubcommand).is_none();
            name.filter(|_| open).map(|name| hint_for_command(&name))
        }
        ErrorKind::ArgumentConflict if text(ContextKind::InvalidArg).is_some_and(|arg| arg.starts_with("--resume")) => {
            let told = "a run goes on with the data and settings that it began with, except --threads; to change them, \
                        start a new run with --config RUN/settings.toml";
            Some(told.to_string())
        }
        _ => None,
    };
    if let Some(suggestion) = suggestion {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![suggestion.into()]));
    }
}

fn hint_for_option(option: &str) -> Option<String> {
    let name = option.trim_start_matches('-').split('=').next()?;
    let key = name.replace('-', "_");
    let definition = definition();
    let command = std::env::args().nth(1).and_then(|name| definition.find_subcommand(name).cloned());
    let options: Vec<&str> =
        command.iter().flat_map(clap::Command::get_arguments).filter_map(|a| a.get_long()).collect();
    if let Some(meant) = Settings::meant_by(&key) {
        if options.contains(&meant) {
            return Some(format!("write it as --{meant}; `--help` lists all options"));
        }
        return Some(format!("`{meant}` is a setting; for `deepfit train` write it as {meant}=VALUE"));
    }
    nearest(name, options).map(|near| format!("the nearest option is '--{near}'; `--help` lists all"))
}

fn hint_for_command(name: &str) -> String {
    if std::path::Path::new(name).exists() {
        return format!("to train on it: deepfit train {name}");
    }
    let definition = definition();
    let commands: Vec<&str> = definition.get_subcommands().map(clap::Command::get_name).collect();
    match nearest(name, commands.iter().copied()) {
        Some(near) => format!("the nearest command is '{near}'; there are {}", commands.join(", ")),
        None => format!("there are {}", commands.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn unknown_names_lead_to_the_nearest() {
        assert!(hint_for_command("learn").contains("there are train, "));
        assert_eq!(
            hint_for_option("--weight-decay").as_deref(),
            Some("`weight_decay` is a setting; for `deepfit train` write it as weight_decay=VALUE")
        );
    }
}

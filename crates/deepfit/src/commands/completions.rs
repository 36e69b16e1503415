//! `deepfit completions`: shell completions.

use clap::Args;
use clap_complete::Shell;

use crate::arguments;
use crate::exit::Exit;
use crate::output;

/// Arguments of `deepfit completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  deepfit completions bash > ~/.local/share/bash-completion/completions/deepfit
  deepfit completions zsh > ~/.zfunc/_deepfit
  deepfit completions fish > ~/.config/fish/completions/deepfit.fish")]
pub struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut arguments::definition(), "deepfit", &mut script);
    output::out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

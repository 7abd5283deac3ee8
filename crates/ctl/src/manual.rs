//! Shell completions and manual pages: `quorate completions`, `quorate man`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::console::Console;

/// Arguments of `quorate completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quorate completions bash > /etc/bash_completion.d/quorate
  quorate completions zsh > /usr/local/share/zsh/site-functions/_quorate
  quorate completions fish > ~/.config/fish/completions/quorate.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script with which a shell completes the arguments of `program`.
pub fn completions(args: &CompletionsArgs, mut program: Command) -> anyhow::Result<()> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    Console::standard(false).write(&script)
}

/// Arguments of `quorate man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  quorate man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The directory for the pages; created if it does not exist
    dir: PathBuf,
}

/// Writes a manual page of `program`, and of each of its commands, in section 1.
pub fn man(args: &ManArgs, mut program: Command) -> anyhow::Result<()> {
    let version = program.get_version().unwrap_or_default();
    let source = format!("{} {version}", program.get_name());
    // Gives each command its full name and the inherited arguments.
    program.build();
    let dir = &args.dir;
    let written = fs::create_dir_all(dir).and_then(|()| write_pages(program, &source, dir));
    written.with_context(|| format!("the manual pages cannot be written to {}", dir.display()))
}

fn write_pages(command: Command, source: &str, dir: &Path) -> io::Result<()> {
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        write_pages(inner.clone(), source, dir)?;
    }
    Man::new(command).source(source).generate_to(dir)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let inner = Command::new("list").about("Lists the members");
        let program = Command::new("quorate").version("1.2.3");
        program
            .disable_help_subcommand(true)
            .subcommand(Command::new("member").subcommand(inner))
            .subcommand(Command::new("secret").hide(true))
    }

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let args = ManArgs {
            dir: dir.path().join("man1"),
        };
        man(&args, program()).unwrap();
        let entries = fs::read_dir(&args.dir).unwrap();
        let mut pages: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        pages.sort_unstable();
        assert_eq!(
            pages,
            ["quorate-member-list.1", "quorate-member.1", "quorate.1"]
        );
        let page = fs::read_to_string(args.dir.join("quorate-member-list.1")).unwrap();
        assert!(page.contains("\"quorate 1.2.3\""), "{page}");
        assert!(page.contains("Lists the members"), "{page}");
    }

    #[test]
    fn a_directory_that_cannot_be_created_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let args = ManArgs {
            dir: file.path().join("man1"),
        };
        let error = man(&args, program()).unwrap_err().to_string();
        assert!(error.contains(&args.dir.display().to_string()), "{error}");
    }
}

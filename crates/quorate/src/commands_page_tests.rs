//! `docs/COMMANDS.md`: every command with its arguments, as the program defines them.

use std::{fmt::Write, fs, path::Path};

use clap::{Arg, Command};

use super::program;

const HEADER: &str = "\
# Commands

Every command of `quorate`, from its definition in the program. `quorate COMMAND --help` prints the same.
[Exit codes](exit-codes.md) has what each exit code means.
";

/// Compares the page in the repository with the commands of the program. To update it:
/// `UPDATE_GOLDEN=1 cargo test --package quorate commands`.
#[test]
fn the_page_of_the_commands_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMMANDS.md");
    let mut page = HEADER.to_owned();
    let mut program = program();
    // Gives each command its full name and the inherited arguments.
    program.build();
    write_global_arguments(&mut page, &program);
    write_commands(&mut page, &program);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, page, "run with UPDATE_GOLDEN=1 if intended");
}

/// Writes the arguments that all admin commands share.
fn write_global_arguments(page: &mut String, program: &Command) {
    let member = program.find_subcommand("member").unwrap();
    let arguments: Vec<_> = member
        .get_arguments()
        .filter(|argument| argument.is_global_set())
        .collect();
    page.push_str("\n## Options of every command that asks a node\n\n");
    page.push_str(
        "These go after `status`, `member`, `leader`, `cluster`, `packet`, `policy`, `zone`, `reload` or \
         `log-filter`.\n\n",
    );
    write_table(page, &arguments);
}

fn write_commands(page: &mut String, command: &Command) {
    for inner in command.get_subcommands() {
        if inner.is_hide_set() {
            continue;
        }
        if inner.has_subcommands() {
            let after = text_after(inner);
            if !after.is_empty() {
                let name = inner.get_bin_name().unwrap();
                let about = escaped(&inner.get_about().unwrap().to_string());
                let _ = write!(page, "\n## {name}\n\n{about}.\n{after}");
            }
            write_commands(page, inner);
        } else {
            write_command(page, inner);
        }
    }
}

fn write_command(page: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let about = command.get_about().unwrap();
    let _ = write!(
        page,
        "\n## {name}\n\n{}.\n\n    {usage}\n",
        escaped(&about.to_string())
    );
    let is_shown = |argument: &&Arg| {
        !argument.is_hide_set() && !argument.is_global_set() && argument.get_id() != "help"
    };
    let arguments: Vec<_> = command.get_arguments().filter(is_shown).collect();
    if !arguments.is_empty() {
        page.push('\n');
        write_table(page, &arguments);
    }
    page.push_str(&text_after(command));
}

/// The help after the arguments, as a block. Exit codes have their own page.
fn text_after(command: &Command) -> String {
    let after = command.get_after_help().map(ToString::to_string);
    let after = after.unwrap_or_default();
    let after = after.split("Exit codes:").next().unwrap().trim_end();
    match after.is_empty() {
        true => String::new(),
        false => format!("\n```text\n{after}\n```\n"),
    }
}

fn write_table(page: &mut String, arguments: &[&Arg]) {
    page.push_str("| argument | default | meaning |\n|---|---|---|\n");
    for argument in arguments {
        let help = argument.get_long_help().or(argument.get_help()).unwrap();
        // A table cell has only one line.
        let mut help = escaped(&help.to_string())
            .replace("\n\n", ". ")
            .replace('\n', " ");
        if !help.ends_with(['.', ')']) {
            help.push('.');
        }
        if let Some(variable) = argument.get_env() {
            let _ = write!(help, " Or set `{}`.", variable.display());
        }
        let defaults = argument.get_default_values().iter();
        let mut default: Vec<_> = defaults.map(|it| format!("`{}`", it.display())).collect();
        if !argument.get_action().takes_values() {
            default.clear();
        }
        let values = argument.get_possible_values();
        let values: Vec<_> = values
            .iter()
            .map(|it| format!("`{}`", it.get_name()))
            .collect();
        if argument.get_action().takes_values() && !values.is_empty() {
            let _ = write!(help, " One of {}.", values.join(", "));
        }
        let argument = argument.to_string().replace('|', "\\|");
        let default = default.join(", ");
        let _ = writeln!(page, "| `{argument}` | {default} | {help} |");
    }
}

/// Escapes a text for a cell of a Markdown table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

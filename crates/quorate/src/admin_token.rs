//! Tokens for the admin API: `quorate admin-token`.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::{
    Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use quorate_admin::{Scope, Token, TokenList, TokenName};
use quorate_ctl::outln;

/// Commands for admin tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminTokenCommand {
    /// Create a token for the admin API and print it. Only its hash is stored
    #[command(after_help = "\
Standard output contains only the token. FILE is that of admin.tokens_file; a running node accepts the
token after a reload. Removing the line from the file revokes the token.

Examples:
  quorate admin-token new alice --scope operate --file /etc/quorate/tokens > alice.token
  quorate reload
  quorate member list --admin http://ns1.example.org:9100 --token-file alice.token

If all tokens are lost, create another one on the machine of a node, and send SIGHUP to the node.")]
    New(NewArgs),
}

/// Arguments of `quorate admin-token new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The name of the token in the audit log: its user or program
    name: TokenName,
    /// What the token allows
    #[arg(long, value_parser = scopes())]
    scope: Scope,
    /// Append the line of the token to this file, created if it does not exist; by default the line is
    /// printed to standard error
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

fn scopes() -> impl TypedValueParser<Value = Scope> {
    let name = |scope: Scope| <&str>::from(scope);
    let of_scope = [
        PossibleValue::new(name(Scope::Metrics)).help("Metrics only"),
        PossibleValue::new(name(Scope::Read)).help("Everything that changes nothing"),
        PossibleValue::new(name(Scope::Operate)).help("Everything"),
    ];
    PossibleValuesParser::new(of_scope).try_map(|scope| scope.parse::<Scope>())
}

/// Runs the command.
pub(crate) fn run(command: &AdminTokenCommand) -> anyhow::Result<()> {
    let AdminTokenCommand::New(args) = command;
    let token = new(args)?;
    outln!("{token}")
}

/// Creates a token and writes its line to the file or standard error.
fn new(args: &NewArgs) -> anyhow::Result<Token> {
    let token = Token::generate().context("the system returned no random bytes for a token")?;
    let line = token.line(&args.name, args.scope);
    match &args.file {
        Some(file) => {
            append(file, &line)?;
            eprintln!(
                "quorate: {} contains its hash; a running node reads it after `quorate reload` or SIGHUP",
                file.display()
            );
        }
        None => eprintln!("quorate: add this line to the file admin.tokens_file:\n{line}"),
    }
    Ok(token)
}

/// Appends a line to a tokens file if the result is valid. The file keeps its owner and mode; a new file
/// has the default mode, because hashes are not secret.
fn append(file: &Path, line: &str) -> anyhow::Result<()> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("{} cannot be read", file.display()))?,
    };
    let gap = match text.is_empty() || text.ends_with('\n') {
        true => "",
        false => "\n",
    };
    let added = format!("{gap}{line}\n");
    TokenList::parse(&(text + &added)).map_err(|(number, error)| {
        let at = format!("line {number} of {} would be rejected", file.display());
        anyhow!(error).context(at)
    })?;
    let opened = OpenOptions::new().append(true).create(true).open(file);
    opened
        .and_then(|mut opened| {
            opened.write_all(added.as_bytes())?;
            opened.sync_all()
        })
        .with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn new_in(file: &Path, name: &str) -> anyhow::Result<Token> {
        new(&NewArgs {
            name: name.parse().unwrap(),
            scope: Scope::Read,
            file: Some(file.to_owned()),
        })
    }

    #[test]
    fn a_file_grows_by_a_line_for_each_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        new_in(&file, "alice").unwrap();
        new_in(&file, "bob").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("alice read sha256:"), "{text}");
        assert!(lines[1].starts_with("bob read sha256:"), "{text}");
    }

    #[test]
    fn a_last_line_without_a_newline_is_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, format!("alice operate {HASH}")).unwrap();
        new_in(file.path(), "bob").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with(&format!("alice operate {HASH}\nbob read ")),
            "{text}"
        );
    }

    #[test]
    fn a_name_that_is_taken_changes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = format!("# ours\nalice operate {HASH}\n");
        fs::write(&file, &before).unwrap();
        let error = format!("{:#}", new_in(file.path(), "alice").unwrap_err());
        assert!(error.starts_with("line 3 of "), "{error}");
        assert!(
            error.contains("would be rejected: an earlier line has the same name"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
    }
}

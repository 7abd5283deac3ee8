//! Checks of every Markdown file of the repository: links and anchors lead somewhere, every page is in
//! the table of contents, and the commands, settings, messages and tests that a document quotes exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::{Command, builder::ValueParser, error::ErrorKind};

use super::program;
use crate::config;

/// Documents whose commands and settings are not checked. The first two quote removed commands; the last
/// is generated from the definitions.
const UNCHECKED: [&str; 3] = ["CHANGELOG.md", "docs/decisions", "docs/COMMANDS.md"];

/// One Markdown file, split into prose and code.
struct Document {
    /// Relative to the root of the repository.
    path: PathBuf,
    /// Lines outside code blocks, each with its number.
    prose: Vec<(usize, String)>,
    /// Lines of code blocks. A line that ends in `\` is joined with the next.
    code: Vec<(usize, String)>,
}

impl Document {
    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_owned();
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Self {
        let (mut prose, mut code) = (Vec::new(), Vec::<(usize, String)>::new());
        let (mut in_fence, mut continues, mut was_blank) = (false, false, true);
        let mut was_indented = false;
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.starts_with("```") {
                in_fence = !in_fence;
                continue;
            }
            let is_list = trimmed.starts_with("- ") || trimmed.starts_with("* ");
            let is_indented = line.starts_with("    ") && !is_list && (was_blank || was_indented);
            was_blank = trimmed.is_empty();
            was_indented = is_indented;
            if !in_fence && !is_indented {
                prose.push((index + 1, line.to_owned()));
                continue;
            }
            let part = trimmed.trim_end_matches('\\');
            match code.last_mut() {
                Some((_, last)) if continues => last.push_str(part),
                _ => code.push((index + 1, part.to_owned())),
            }
            continues = trimmed.ends_with('\\');
        }
        Self { path, prose, code }
    }

    /// Returns whether the commands and settings of the document are checked.
    fn is_current(&self) -> bool {
        !UNCHECKED.iter().any(|path| self.path.starts_with(path))
    }

    /// The anchors of the headings, as GitHub and mdBook create them.
    fn anchors(&self) -> BTreeSet<String> {
        let mut counts = BTreeMap::<String, usize>::new();
        let headings = self.prose.iter().filter_map(|(_, line)| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len()).then(|| text.strip_prefix(' '))?
        });
        let anchors = headings.map(|heading| {
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            // For a link in a heading, use the text of the link.
            let text = heading.trim().split("](").next().unwrap();
            let anchor: String = text.to_lowercase().chars().filter(kept).collect();
            let anchor = anchor.replace(' ', "-");
            let count = counts.entry(anchor.clone()).or_default();
            *count += 1;
            match *count {
                1 => anchor,
                count => format!("{anchor}-{}", count - 1),
            }
        });
        anchors.collect()
    }

    /// Targets of links, without those in code.
    fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (number, line) in &self.prose {
            let outside_code: String = line.split('`').step_by(2).collect();
            let targets = outside_code.split("](").skip(1);
            let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
            links.extend(targets.map(|target| (*number, target.to_owned())));
        }
        links
    }

    /// The texts between backticks, with their line numbers.
    fn quotes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| {
            let quoted = line.split('`').skip(1).step_by(2);
            quoted.map(|quote| (*number, quote))
        })
    }
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// Every Markdown file outside build and data directories.
fn documents() -> Vec<Document> {
    let root = root();
    let (mut dirs, mut documents) = (vec![root.clone()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["target", ".git", "quorate-data"].contains(&name) {
                    dirs.push(path);
                }
            } else if name.ends_with(".md") {
                documents.push(Document::read(&root, &path));
            }
        }
    }
    documents.sort_by(|a, b| a.path.cmp(&b.path));
    documents
}

/// The text of every Rust file in these directories of the repository.
fn sources(dirs: &[&str]) -> String {
    let mut dirs: Vec<_> = dirs.iter().map(|dir| root().join(dir)).collect();
    let mut text = String::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

#[track_caller]
fn expect_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// `to`, relative to the directory of the file `from`, without `..`.
fn resolve(from: &Path, to: &str) -> PathBuf {
    let mut path = from.parent().unwrap().to_owned();
    for part in to.split('/') {
        match part {
            ".." => drop(path.pop()),
            "." | "" => {}
            part => path.push(part),
        }
    }
    path
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (root, documents) = (root(), documents());
    let anchors: BTreeMap<_, _> = documents
        .iter()
        .map(|document| (document.path.clone(), document.anchors()))
        .collect();
    let mut faults = Vec::new();
    for document in &documents {
        for (number, target) in document.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match path {
                "" => document.path.clone(),
                path => resolve(&document.path, path),
            };
            let at = format!("{}:{number}: {target}", document.path.display());
            if !root.join(&path).exists() {
                faults.push(format!("{at}: there is no such file"));
            } else if let Some(anchors) = anchors.get(&path)
                && !anchor.is_empty()
                && !anchors.contains(anchor)
            {
                faults.push(format!("{at}: the file has no such heading"));
            }
        }
    }
    expect_none(&faults);
}

#[test]
fn the_table_of_contents_has_every_page() {
    let documents = documents();
    let summary = Path::new("docs/SUMMARY.md");
    let contents = documents.iter().find(|document| document.path == summary);
    let links = contents.unwrap().links().into_iter();
    let listed: BTreeSet<_> = links.map(|(_, target)| resolve(summary, &target)).collect();
    let pages = documents.iter().map(|document| &document.path);
    let pages = pages.filter(|path| path.starts_with("docs") && *path != summary);
    let missing: Vec<_> = pages
        .filter(|path| !listed.contains(*path))
        .map(|path| format!("{} is not in {}", path.display(), summary.display()))
        .collect();
    expect_none(&missing);
}

#[test]
fn every_quoted_command_can_be_parsed() {
    let program = lenient(program());
    let mut faults = Vec::new();
    for document in documents().iter().filter(|document| document.is_current()) {
        let blocks = document
            .code
            .iter()
            .map(|(number, line)| (*number, &**line, true));
        let quotes = document
            .quotes()
            .map(|(number, quote)| (number, quote, false));
        for (number, text, in_block) in blocks.chain(quotes) {
            for command in commands_in(text, in_block) {
                if let Err(fault) = parse(&program, &command, in_block) {
                    let at = document.path.display();
                    faults.push(format!("{at}:{number}: {}: {fault}", command.join(" ")));
                }
            }
        }
    }
    expect_none(&faults);
}

/// Accepts any text as a value, because documents write KEY and FILE. A value with a fixed list of words
/// must still be one of them.
fn lenient(program: Command) -> Command {
    let program = program.mut_args(|argument| {
        let is_open = argument.get_possible_values().is_empty();
        match argument.get_action().takes_values() && is_open {
            true => argument.value_parser(ValueParser::string()),
            false => argument,
        }
    });
    program.mut_subcommands(lenient)
}

/// The command lines of the program in a line of shell, or in a quote that begins with its name.
fn commands_in(text: &str, in_block: bool) -> Vec<Vec<String>> {
    let words = shell_words(text);
    let mut commands = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let name = word
            .trim_start_matches("TOKEN=$(")
            .trim_start_matches("KEY=$(");
        let is_program = matches!(
            name,
            "quorate" | "target/release/quorate" | "/usr/local/bin/quorate"
        );
        let before = index.checked_sub(1).map(|before| &*words[before]);
        // Names of users, packages and services.
        let is_name = before.is_some_and(|it| !matches!(it, "|" | "--" | ";" | "&&" | "$"));
        if !is_program || is_name && in_block || index > 0 && !in_block {
            continue;
        }
        let ends = |word: &&String| !matches!(&***word, "|" | ">" | "#" | "&" | ";" | "&&" | "2>");
        let arguments: Vec<String> = words[index + 1..]
            .iter()
            .take_while(ends)
            .cloned()
            .collect();
        if !arguments.is_empty() {
            let command = ["quorate".to_owned()].into_iter().chain(arguments);
            commands.push(
                command
                    .map(|word| word.trim_end_matches(')').to_owned())
                    .collect(),
            );
        }
    }
    commands
}

/// Splits a line into words as a shell does, and removes the quotes.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Fails if the program would reject the command. Outside code blocks, arguments may be missing.
fn parse(program: &Command, command: &[String], in_block: bool) -> Result<(), String> {
    // The document omits the rest of the command.
    let cut = command.iter().position(|word| word == "…");
    let is_cut = cut.is_some();
    let words = command[..cut.unwrap_or(command.len())].iter();
    let words = words.map(|word| word.trim_matches(['[', ']']));
    let Err(error) = program.clone().try_get_matches_from(words) else {
        return Ok(());
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if is_cut || !in_block =>
        {
            Ok(())
        }
        _ => Err(error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()),
    }
}

#[test]
fn every_quoted_setting_exists() {
    let reference = config::reference();
    let settings: BTreeSet<&str> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(setting, _)| setting)
        .collect();
    let sections: BTreeSet<&str> = settings
        .iter()
        .filter_map(|setting| Some(setting.split_once('.')?.0))
        .collect();
    assert!(sections.contains("http") && settings.contains("http.listen"));
    let is_setting_like = |quote: &str| {
        quote
            .chars()
            .all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.' | '[' | ']'))
            && !quote.ends_with('.')
    };
    let is_file = |key: &str| {
        let endings = [
            "rs", "md", "toml", "pem", "txt", "json", "yml", "redb", "key", "new",
        ];
        endings
            .iter()
            .any(|ending| key.rsplit('.').next() == Some(ending))
    };
    let mut faults = Vec::new();
    for document in documents().iter().filter(|document| document.is_current()) {
        for (number, quote) in document.quotes() {
            // `section.key = value` quotes a setting too.
            let name = quote.split(" = ").next().unwrap();
            let Some((section, key)) = name.split_once('.') else {
                continue;
            };
            if sections.contains(section)
                && is_setting_like(name)
                && !is_file(key)
                && !settings.contains(name)
            {
                let at = document.path.display();
                faults.push(format!("{at}:{number}: there is no setting {name}"));
            }
        }
    }
    expect_none(&faults);
}

/// The lists of `docs/monitor.md` must quote the current messages of the program.
#[test]
fn every_message_that_operators_look_for_is_in_the_program() {
    let program = sources(&["crates"]);
    // A text may continue on the next line.
    let mut parts = program.split("\\\n");
    let first = parts.next().unwrap().to_owned();
    let program = parts.fold(first, |text, part| text + part.trim_start());
    let documents = documents();
    let page = Path::new("docs/monitor.md");
    let page = documents
        .iter()
        .find(|document| document.path == page)
        .unwrap();
    let mut faults = Vec::new();
    for (number, line) in &page.prose {
        let Some(item) = line.strip_prefix("- `") else {
            continue;
        };
        let (messages, _) = item.rsplit_once("`: ").unwrap_or_default();
        for message in messages.split("`, `") {
            let is_message = message.contains(' ') && !message.contains(char::is_numeric);
            if is_message && !program.contains(message) {
                let at = page.path.display();
                faults.push(format!(
                    "{at}:{number}: the program has no message {message:?}"
                ));
            }
        }
    }
    expect_none(&faults);
}

/// A quoted name of four or more words, joined by underscores, is the name of a test. In the Makefile, the
/// word after `--lib` selects tests by a part of their names, and `cargo test` passes even if no test
/// matches.
#[test]
fn every_named_test_exists() {
    let sources = sources(&["crates", "tests"]);
    let functions: BTreeSet<&str> = sources
        .split("fn ")
        .skip(1)
        .map(|rest| rest.split(['(', '<']).next().unwrap())
        .collect();
    let is_test_name = |name: &str| {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.matches('_').count() >= 3 && name.chars().all(is_word)
    };
    let mut faults = Vec::new();
    for document in documents() {
        for (number, name) in document.quotes() {
            let is_metric = ["quorate_", "process_"]
                .iter()
                .any(|it| name.starts_with(it));
            if is_test_name(name) && !is_metric && !functions.contains(name) {
                let at = document.path.display();
                faults.push(format!("{at}:{number}: there is no test {name}"));
            }
        }
    }
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for (_, part) in makefile
        .lines()
        .filter_map(|line| line.rsplit_once(" --lib "))
    {
        if !part.starts_with("--") && !functions.iter().any(|name| name.contains(part)) {
            faults.push(format!("Makefile: no test has {part} in its name"));
        }
    }
    expect_none(&faults);
}

#[test]
fn wrong_flags_words_and_missing_arguments_are_found() {
    let program = lenient(program());
    let fault = |line: &str, in_block| {
        let commands = commands_in(line, in_block);
        commands
            .iter()
            .find_map(|command| parse(&program, command, in_block).err())
    };
    for good in [
        "quorate member add --uses 2   # prints a token",
        "TOKEN=$(quorate member add --learner)",
        "runuser -u quorate -- quorate init --found --config FILE",
        "quorate zone set dns.example.org @ 1h MX '10 mail' '20 mail.example.net.'",
        "systemctl stop quorate",
    ] {
        assert_eq!(fault(good, true), None, "{good}");
    }
    for bad in [
        "quorate member ad",
        "quorate member add --use 2",
        "TOKEN=$(quorate member add --lerner)",
        "quorate member replace ns3",
        "quorate policy mode closed",
        "runuser -u quorate -- quorate init --fond",
    ] {
        assert!(fault(bad, true).is_some(), "{bad}");
    }
    assert_eq!(fault("quorate member replace", false), None);
    assert!(fault("quorate member replce", false).is_some());
}

#[test]
fn anchors_match_the_headings() {
    let text = "# A `b.c` & d\n\n## Same\n\n## Same\n\n```sh\n# no heading\n```\n";
    let document = Document::parse("a.md".into(), text);
    let expected = ["a-bc--d", "same", "same-1"].map(String::from);
    assert_eq!(document.anchors(), BTreeSet::from(expected));
}

//! The configuration layer of the file.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use toml::{
    Table,
    de::{DeTable, DeValue},
};

use quorate_setting::KeyPath;

use super::{Problem, Source, layers::Layer, settings::FORMAT_VERSION};

/// The largest configuration file, in bytes: it is read into memory, and real ones are far smaller.
const CONFIG_SIZE_MAX: u64 = 1024 * 1024;

/// Reads the file. Fails with all errors that prevent reading its values.
pub(crate) fn read(path: &Path) -> Result<Layer, Vec<Problem>> {
    let text = read_text(path).map_err(|reason| vec![problem(path, None, None, reason)])?;
    parse(path, &text)
}

fn problem(path: &Path, line: Option<usize>, key: Option<KeyPath>, reason: String) -> Problem {
    let path = path.to_owned();
    Problem {
        source: Source::File { path, line },
        key,
        reason,
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let cannot_read = |error| format!("the file cannot be read: {error}");
    let file = File::open(path).map_err(cannot_read)?;
    let mut text = String::new();
    file.take(CONFIG_SIZE_MAX + 1)
        .read_to_string(&mut text)
        .map_err(cannot_read)?;
    match text.len() as u64 > CONFIG_SIZE_MAX {
        true => Err(format!("the file is larger than {CONFIG_SIZE_MAX} bytes")),
        false => Ok(text),
    }
}

/// Parses the text of the file at `path`.
fn parse(path: &Path, text: &str) -> Result<Layer, Vec<Problem>> {
    let line = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
    let problem = |line, key, reason| problem(path, line, key, reason);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let syntax = errors.iter().map(|error| {
            let line = error.span().map(|span| line(span.start));
            problem(line, None, format!("this is not TOML: {}", error.message()))
        });
        return Err(syntax.collect());
    }

    let mut lines = BTreeMap::new();
    let top = DeValue::Table(document.into_inner());
    note_lines(&top, &KeyPath::default(), &line, &mut lines);
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| line(span.start));
        vec![problem(line, None, error.message().to_owned())]
    })?;

    // Nothing else can be checked in another version.
    let reason = match table.get("version").map(toml::Value::as_integer) {
        Some(Some(version)) if version == i64::from(FORMAT_VERSION) => {
            let source = |line| Source::File {
                path: path.to_owned(),
                line: Some(line),
            };
            let sources = lines.into_iter().map(|(key, line)| (key, source(line)));
            let sources = sources.collect();
            return Ok(Layer { table, sources });
        }
        Some(Some(version)) => {
            format!("this program reads version {FORMAT_VERSION}, the file has {version}")
        }
        Some(None) => format!("write the number {FORMAT_VERSION}"),
        None => format!("it is missing; the first line should be `version = {FORMAT_VERSION}`"),
    };
    let key = KeyPath::from("version");
    Err(vec![problem(lines.get(&key).copied(), Some(key), reason)])
}

/// Records the line of every value inside `value`, whose key is `at`.
fn note_lines(
    value: &DeValue<'_>,
    at: &KeyPath,
    line: &impl Fn(usize) -> usize,
    lines: &mut BTreeMap<KeyPath, usize>,
) {
    let mut note = |path: KeyPath, start: usize, value: &DeValue<'_>| {
        note_lines(value, &path, line, lines);
        lines.insert(path, line(start));
    };
    match value {
        DeValue::Table(table) => table.iter().for_each(|(key, value)| {
            note(at.key(key.get_ref()), key.span().start, value.get_ref());
        }),
        DeValue::Array(elements) => elements.iter().enumerate().for_each(|(index, element)| {
            note(at.index(index), element.span().start, element.get_ref());
        }),
        _ => {}
    }
}

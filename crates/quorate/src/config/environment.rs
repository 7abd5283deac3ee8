//! The layer of the environment: `QUORATE_<SECTION>_<KEY>`.

use std::collections::BTreeMap;

use quorate_setting::{Entry, Form, KeyPath, Table, Value};

use super::{
    ConfigV1, Problem, Source,
    layers::{self, Layer, Place},
};

/// What the names of our variables begin with.
pub(crate) const PREFIX: &str = "QUORATE_";

/// Variables that begin alike and set nothing: the one names the commit at build time, the other the
/// program that the tests run.
const OTHERS: [&str; 2] = ["QUORATE_GIT_HASH", "QUORATE_BIN"];

/// Reads the variables that begin with [`PREFIX`]. Values are written as in the file, but a string
/// needs no quotes and a list may be separated by commas.
pub(crate) fn read(variables: impl IntoIterator<Item = (String, String)>) -> (Layer, Vec<Problem>) {
    let settings = settings();
    let mut table = Table::new();
    let mut problems = Vec::new();
    let ours = variables
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX) && !OTHERS.contains(&name.as_str()));
    for (name, text) in ours.collect::<BTreeMap<_, _>>() {
        let (key, set) = match settings.get(&name) {
            Some((keys, default)) => {
                let keys: Vec<&str> = keys.split('.').collect();
                let set = parse(&text, default).map(|value| layers::set(&mut table, &keys, value));
                (Some(KeyPath::from(&*keys.join("."))), set)
            }
            None => (None, Err(unknown(&name, settings.keys()))),
        };
        if let Err(reason) = set {
            let source = Source::Variable(name);
            problems.push(Problem {
                source,
                key,
                reason,
            });
        }
    }
    let place = Place::Environment;
    (Layer { table, place }, problems)
}

/// The variable that sets what stands at `key`, or what that is part of.
pub(crate) fn variable(key: &KeyPath) -> String {
    let name = key.section_and_key().replace('.', "_").to_uppercase();
    format!("{PREFIX}{name}")
}

/// All settings that a variable can set, by its name: the key, and the default, which tells how to
/// read a text. The version belongs to the file alone.
fn settings() -> BTreeMap<String, (String, Value)> {
    let mut settings = BTreeMap::new();
    let mut add = |key: String, default| {
        settings.insert(variable(&KeyPath::from(&*key)), (key, default));
    };
    let defaults = ConfigV1::default().value();
    for (section, value) in defaults.as_table().into_iter().flatten() {
        match value {
            Value::Table(table) => table
                .iter()
                .for_each(|(key, default)| add(format!("{section}.{key}"), default.clone())),
            _ if section == "version" => {}
            default => add(section.clone(), default.clone()),
        }
    }
    settings
}

/// The variable of today for one that an earlier version had.
fn renamed(name: &str) -> Option<String> {
    let names = |entry: &Entry| [Some(entry.key), entry.was].into_iter().flatten();
    ConfigV1::entries().iter().find_map(|section| {
        section.inner.iter().find_map(|entry| {
            let mut was = names(section).flat_map(|section| {
                names(entry).map(move |key| KeyPath::default().key(section).key(key))
            });
            was.any(|was| variable(&was) == name)
                .then(|| variable(&KeyPath::default().key(section.key).key(entry.key)))
        })
    })
}

fn parse(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Array(_) if !text.trim_start().starts_with('[') => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(Value::Array(
                items.map(|item| Value::String(item.to_owned())).collect(),
            ))
        }
        _ => parse_toml(text.trim())
            .ok_or_else(|| format!("{text:?} cannot be read as {}", kind(default))),
    }
}

fn parse_toml(text: &str) -> Option<Value> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    let value = table.remove("value")?;
    // A text with a line break could bring more than a value.
    table.is_empty().then_some(value)
}

fn kind(default: &Value) -> &'static str {
    match default {
        Value::Integer(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list in TOML",
        _ => "a TOML value",
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    // What Kubernetes sets in every container beside a service called `quorate`.
    let suffix = &name[PREFIX.len()..];
    if suffix.starts_with("SERVICE_") || suffix == "PORT" || suffix.starts_with("PORT_") {
        return "no setting has this name; if Kubernetes made it for a service called quorate, \
                set `enableServiceLinks: false` in the pod"
            .to_owned();
    }
    if let Some(now) = renamed(name) {
        return format!("it is called {now} now");
    }
    let section = name.split('_').nth(1).unwrap_or_default();
    let prefix = format!("{PREFIX}{section}_");
    let near: Vec<&str> = known
        .filter(|known| known.starts_with(&prefix))
        .map(String::as_str)
        .collect();
    match near.is_empty() {
        true => "no setting has this name; `quorate config show` lists them all".to_owned(),
        false => format!("no setting has this name; near it are {}", near.join(", ")),
    }
}

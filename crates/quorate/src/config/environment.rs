//! The layer of the environment: `QUORATE_<SECTION>_<KEY>`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{
    KeyPath, Problem, Source,
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
        let Some(setting) = settings.get(&name) else {
            let reason = unknown(&name, settings.keys());
            problems.push(Problem {
                source: Source::Variable(name),
                key: None,
                reason,
            });
            continue;
        };
        match parse(&text, &setting.default) {
            Ok(value) => {
                let keys: Vec<&str> = setting.keys.iter().map(String::as_str).collect();
                layers::set(&mut table, &keys, value);
            }
            Err(reason) => problems.push(Problem {
                source: Source::Variable(name),
                key: Some(setting.path.clone()),
                reason,
            }),
        }
    }
    (
        Layer {
            table,
            place: Place::Environment,
        },
        problems,
    )
}

/// A setting that a variable can set.
struct Setting {
    path: KeyPath,
    keys: Vec<String>,
    /// Its default, which tells how to read a text.
    default: Value,
}

/// All settings by the names of their variables. The version belongs to the file alone.
fn settings() -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    for (section, value) in layers::defaults() {
        let path = KeyPath::default().key(&section);
        match value {
            Value::Table(table) => settings.extend(table.into_iter().map(|(key, default)| {
                let path = path.key(&key);
                let keys = vec![section.clone(), key];
                (
                    path.variable(),
                    Setting {
                        path,
                        keys,
                        default,
                    },
                )
            })),
            _ if section == "version" => {}
            default => {
                let keys = vec![section];
                settings.insert(
                    path.variable(),
                    Setting {
                        path,
                        keys,
                        default,
                    },
                );
            }
        }
    }
    settings
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

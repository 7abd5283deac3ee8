//! The configuration layer of the environment: `QUORATE_<SECTION>_<KEY>`.

use std::collections::BTreeMap;

use quorate_setting::{KeyPath, Setting, SettingValue, Value};

use super::{
    ConfigV1, Problem, Source,
    layers::Layer,
    problem::{PREFIX, variable},
    settings::{REMOVED, REMOVED_ADVICE},
};

/// Variables with the same prefix that are not settings: the commit at build time, the program under test,
/// and those of the client commands, which are often set where a node starts too.
const OTHER_VARIABLES: [&str; 8] = [
    "QUORATE_GIT_HASH",
    "QUORATE_BIN",
    "QUORATE_ADMIN",
    "QUORATE_ADMIN_TOKEN",
    "QUORATE_ADMIN_TOKEN_FILE",
    "QUORATE_RELAY",
    "QUORATE_PUBLISH_TOKEN",
    "QUORATE_PUBLISH_TOKEN_FILE",
];

/// Reads the variables that start with [`PREFIX`]. Values are written as in the file, but a string needs
/// no quotes, and a list may be separated by commas.
pub(crate) fn read(variables: impl IntoIterator<Item = (String, String)>) -> (Layer, Vec<Problem>) {
    let settings = settings();
    let mut layer = Layer::default();
    let mut problems = Vec::new();
    let ours = variables
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX) && !OTHER_VARIABLES.contains(&name.as_str()));
    for (name, text) in ours.collect::<BTreeMap<_, _>>() {
        let (key, reason) = match settings.get(&name) {
            Some((key, default)) => match parse(&text, default) {
                Ok(value) => {
                    layer.set(key.clone(), value, Source::Variable(name));
                    continue;
                }
                Err(reason) => (Some(key.clone()), reason),
            },
            None => (None, unknown(&name, &settings)),
        };
        let source = Source::Variable(name);
        problems.push(Problem {
            source,
            key,
            reason,
        });
    }
    (layer, problems)
}

/// The settings by variable name, with their keys and their defaults, whose types decide how a text is
/// parsed. The version can only be in the file.
fn settings() -> BTreeMap<String, (KeyPath, Value)> {
    let mut settings = BTreeMap::new();
    let mut add = |at: &KeyPath, setting: &Setting| {
        let key = at.key(setting.key);
        settings.insert(variable(&key), (key, setting.default.clone()));
    };
    let top = KeyPath::default();
    for section in ConfigV1::declared() {
        match &section.default {
            Value::Table(_) => {
                let at = top.key(section.key);
                section.inner.iter().for_each(|setting| add(&at, setting));
            }
            _ if section.key == "version" => {}
            _ => add(&top, &section),
        }
    }
    settings
}

fn parse(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Array(_) if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim);
            let items = items.filter(|item| !item.is_empty()).map(Value::from);
            Ok(Value::Array(items.collect()))
        }
        _ => text
            .trim()
            .parse()
            .map_err(|_| format!("{text:?} cannot be read as {}", kind(default))),
    }
}

fn kind(default: &Value) -> &'static str {
    match default {
        Value::Integer(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list in TOML",
        _ => "a TOML value",
    }
}

fn unknown(name: &str, settings: &BTreeMap<String, (KeyPath, Value)>) -> String {
    if REMOVED
        .iter()
        .any(|key| variable(&KeyPath::from(*key)) == name)
    {
        return REMOVED_ADVICE.to_owned();
    }
    // Kubernetes sets these in every container if a service is called `quorate`.
    let suffix = &name[PREFIX.len()..];
    if suffix.starts_with("SERVICE_") || suffix == "PORT" || suffix.starts_with("PORT_") {
        return "no setting has this name; if Kubernetes made it for a service called quorate, \
                set `enableServiceLinks: false` in the pod"
            .to_owned();
    }
    let section = name.split('_').nth(1).unwrap_or_default();
    let prefix = format!("{PREFIX}{section}_");
    let near = settings.keys().filter(|known| known.starts_with(&prefix));
    let near: Vec<&str> = near.map(String::as_str).collect();
    match near.is_empty() {
        true => "no setting has this name; `quorate config show` lists them all".to_owned(),
        false => format!(
            "no setting has this name; similar names: {}",
            near.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_has_the_name_of_a_reserved_variable() {
        let settings = settings();
        for name in OTHER_VARIABLES {
            assert!(!settings.contains_key(name), "{name}");
        }
    }
}

//! Layers of settings: later ones override earlier ones.

use std::collections::BTreeMap;

use quorate_setting::{KeyPath, Merged, SettingValue, Table, Value};

use super::{
    ConfigV1, Problem, Source,
    settings::{REMOVED, REMOVED_ADVICE},
};

/// The setting that decides others unless they are set.
const PROFILE: &str = "raft.profile";

/// Settings, and where each comes from.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) table: Table,
    pub(crate) sources: BTreeMap<KeyPath, Source>,
}

impl Layer {
    /// Adds the value of the setting `key`, such as `http.listen`.
    pub(crate) fn set(&mut self, key: KeyPath, value: Value, source: Source) {
        set(&mut self.table, &key.to_string(), value);
        self.sources.insert(key, source);
    }
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, key)) => {
            let section = table.entry(section).or_insert_with(|| Table::new().into());
            let section = section.as_table_mut().expect("a section is a table");
            set(section, key, value);
        }
    }
}

/// The source of `key`, or of the nearest value that contains it.
fn nearest(sources: &BTreeMap<KeyPath, Source>, key: &KeyPath) -> Source {
    let mut from_the_longest = sources.iter().rev();
    let found = from_the_longest.find(|(around, _)| *around == key || key.is_inside(around));
    found.map_or(Source::Default, |(_, source)| source.clone())
}

/// The layers merged over each other.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    /// The merged settings.
    pub(crate) config: ConfigV1,
    /// The sources of all values that a layer above the defaults set or decided.
    sources: BTreeMap<KeyPath, Source>,
}

impl Layers {
    /// Merges `layer` over the others, and returns its errors; wrong values are left out.
    pub(crate) fn merge(&mut self, layer: Layer) -> Vec<Problem> {
        let mut merged = Merged::default();
        let table = Value::Table(layer.table);
        self.config.merge(&table, &KeyPath::default(), &mut merged);
        let is_set = |key: &KeyPath| {
            merged
                .set
                .iter()
                .any(|set| key == set || key.is_inside(set))
        };
        self.sources.retain(|known, _| !is_set(known));
        let layered = layer.sources.keys().filter(|key| is_set(key));
        let set = layered.chain(&merged.set);
        self.sources
            .extend(set.map(|key| (key.clone(), nearest(&layer.sources, key))));
        let problem = |(key, reason): (KeyPath, String)| Problem {
            source: nearest(&layer.sources, &key),
            reason: match REMOVED.contains(&&*key.to_string()) {
                true => REMOVED_ADVICE.to_owned(),
                false => reason,
            },
            key: Some(key),
        };
        merged.rejected.into_iter().map(problem).collect()
    }

    /// Sets the values of the profile for settings that no layer set.
    pub(crate) fn apply_profile(&mut self) {
        let profile = self.sources.get(&KeyPath::from(PROFILE)).cloned();
        for (key, number, of_profile) in self.config.raft.of_profile() {
            let key = KeyPath::from("raft").key(key);
            if self.sources.contains_key(&key) {
                continue;
            }
            *number = of_profile;
            if let Some(profile) = &profile {
                self.sources.insert(key, profile.clone());
            }
        }
    }

    /// The layer that set the value of `key`.
    pub(crate) fn source(&self, key: &KeyPath) -> Source {
        nearest(&self.sources, key)
    }

    /// Whether a layer above the defaults has a value for exactly `key`.
    pub(crate) fn is_written(&self, key: &KeyPath) -> bool {
        self.sources
            .keys()
            .any(|set| set == key || set.is_inside(key))
    }
}

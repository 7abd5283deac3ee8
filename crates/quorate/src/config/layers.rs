//! Layers of settings: the later over the earlier.

use std::{collections::BTreeMap, path::PathBuf};

use quorate_setting::{Form, KeyPath, Laid, Table, Value};

use super::{ConfigV1, Problem, Source, problem};

/// The setting that decides others, where nobody set them.
const PROFILE: &str = "raft.profile";

#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) table: Table,
    pub(crate) place: Place,
}

/// Where the values of a layer come from.
#[derive(Debug)]
pub(crate) enum Place {
    Default,
    File {
        path: PathBuf,
        lines: BTreeMap<KeyPath, usize>,
    },
    Environment,
    Flags,
}

impl Place {
    /// The source of the value at `key`.
    fn source(&self, key: &KeyPath) -> Source {
        match self {
            Self::Default => Source::Default,
            Self::File { path, lines } => Source::File {
                path: path.clone(),
                line: nearest(lines, key).copied(),
            },
            Self::Environment => Source::Variable(problem::variable(key)),
            Self::Flags => {
                let flag = key.section_and_key().replace(['.', '_'], "-");
                Source::Flag(format!("--{flag}"))
            }
        }
    }
}

/// What is known of `key`, or else of the nearest value around it.
fn nearest<'a, T>(known: &'a BTreeMap<KeyPath, T>, key: &KeyPath) -> Option<&'a T> {
    let mut from_the_longest = known.iter().rev();
    let found = from_the_longest.find(|(around, _)| *around == key || key.is_inside(around));
    found.map(|(_, known)| known)
}

/// The layers laid over each other.
#[derive(Debug)]
pub(crate) struct Layers {
    /// What all layers together give.
    pub(crate) config: ConfigV1,
    places: Vec<Place>,
    /// For every value that a layer above the defaults set, the index of the layer's place.
    set_by: BTreeMap<KeyPath, usize>,
    /// For every value that no layer set, but another value decided: that one, and the index of its
    /// place.
    decided_by: BTreeMap<KeyPath, (KeyPath, usize)>,
}

impl Layers {
    pub(crate) fn new() -> Self {
        Self {
            config: ConfigV1::default(),
            places: vec![Place::Default],
            set_by: BTreeMap::new(),
            decided_by: BTreeMap::new(),
        }
    }

    /// Lays `layer` over the others, and returns what in it is wrong and was left out.
    pub(crate) fn lay(&mut self, layer: Layer) -> Vec<Problem> {
        let mut laid = Laid::default();
        let table = Value::Table(layer.table);
        self.config.lay(&table, &KeyPath::default(), &mut laid);
        let is_replaced = |known: &KeyPath| laid.set.iter().any(|set| known.is_inside(set));
        self.set_by.retain(|known, _| !is_replaced(known));
        let place = self.places.len();
        self.set_by
            .extend(laid.set.into_iter().map(|key| (key, place)));
        let problem = |(key, reason)| Problem {
            source: layer.place.source(&key),
            key: Some(key),
            reason,
        };
        let problems = laid.refused.into_iter().map(problem).collect();
        self.places.push(layer.place);
        problems
    }

    /// Gives the settings that the profile decides and no layer set the values of the profile.
    pub(crate) fn follow_profile(&mut self) {
        let profile = KeyPath::from(PROFILE);
        for (key, number, of_profile) in self.config.raft.of_profile() {
            let key = KeyPath::from("raft").key(key);
            if self.set_by.contains_key(&key) {
                continue;
            }
            *number = of_profile;
            if let Some(place) = self.set_by.get(&profile) {
                self.decided_by.insert(key, (profile.clone(), *place));
            }
        }
    }

    /// Which layer gave the value at `key`.
    pub(crate) fn source(&self, key: &KeyPath) -> Source {
        if let Some((decisive, place)) = self.decided_by.get(key) {
            return self.places[*place].source(decisive);
        }
        let place = nearest(&self.set_by, key).map_or(0, |place| *place);
        self.places[place].source(key)
    }

    /// Whether some layer above the defaults has a value at exactly `key`.
    pub(crate) fn is_written(&self, key: &KeyPath) -> bool {
        self.set_by.contains_key(key) || self.set_by.keys().any(|set| set.is_inside(key))
    }
}

/// Sets the value at `key`, as in `http.listen`, and makes the table that it is in.
pub(crate) fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, key)) => {
            let section = table.entry(section).or_insert_with(|| Table::new().into());
            let section = section.as_table_mut().expect("a section holds settings");
            set(section, key, value);
        }
    }
}

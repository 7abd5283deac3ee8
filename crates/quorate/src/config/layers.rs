//! Layers of settings: each a table, the later over the earlier.
//!
//! A layer is not trusted as a whole. Every value is tried by itself upon the defaults, so that one
//! mistake does not hide the next and each is told with its own key and line; the values that fit
//! are laid over what the layers below gave.

use std::{collections::BTreeMap, path::PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{
    KeyPath, Problem, Source,
    form::{ConfigV1, Origin},
};

/// Values from one place.
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
    /// The source of the value at `key`: the line is that of the nearest value around it.
    fn source(&self, key: &KeyPath) -> Source {
        match self {
            Self::Default => Source::Default,
            Self::File { path, lines } => {
                let around = |(known, _): &(&KeyPath, _)| *known == key || key.is_inside(known);
                let line = lines.iter().rfind(around).map(|(_, line)| *line);
                Source::File {
                    path: path.clone(),
                    line,
                }
            }
            Self::Environment => Source::Variable(key.variable()),
            Self::Flags => Source::Flag(key.flag()),
        }
    }
}

/// The layers laid over each other.
#[derive(Debug)]
pub(crate) struct Layers {
    merged: Table,
    places: Vec<Place>,
    /// For every value that a layer above the defaults set, the index of the layer's place.
    set_by: BTreeMap<KeyPath, usize>,
}

impl Layers {
    /// The built-in defaults alone.
    pub(crate) fn new() -> Self {
        Self {
            merged: defaults(),
            places: vec![Place::Default],
            set_by: BTreeMap::new(),
        }
    }

    /// Lays `layer` over the others, and returns what in it is wrong and was left out.
    pub(crate) fn lay(&mut self, layer: Layer) -> Vec<Problem> {
        let mut refused = Vec::new();
        let table =
            fitting::<ConfigV1>(&defaults(), layer.table, &KeyPath::default(), &mut refused);
        let problem = |(key, reason)| Problem {
            source: layer.place.source(&key),
            key: Some(key),
            reason,
        };
        let problems = refused.into_iter().map(problem).collect();
        self.places.push(layer.place);
        let place = self.places.len() - 1;
        merge(&mut self.merged, table, &KeyPath::default(), &mut |key| {
            self.set_by.insert(key, place);
        });
        problems
    }

    /// Which layer gave the value at `key`.
    pub(crate) fn source(&self, key: &KeyPath) -> Source {
        let around = |(set, _): &(&KeyPath, _)| *set == key || key.is_inside(set);
        let place = self
            .set_by
            .iter()
            .rfind(around)
            .map_or(0, |(_, place)| *place);
        self.places[place].source(key)
    }

    /// What all layers together give.
    pub(crate) fn config(&self) -> ConfigV1 {
        self.merged
            .clone()
            .try_into()
            .expect("each value was tried before it was laid")
    }

    /// Whether some layer has a value at `key`, or inside it.
    pub(crate) fn is_written(&self, key: &KeyPath) -> bool {
        let mut written = Vec::new();
        paths(
            &Value::Table(self.merged.clone()),
            &KeyPath::default(),
            &mut written,
        );
        written.contains(key)
    }
}

/// The paths of all values in `value`.
fn paths(value: &Value, at: &KeyPath, found: &mut Vec<KeyPath>) {
    found.push(at.clone());
    match value {
        Value::Table(table) => {
            table
                .iter()
                .for_each(|(key, value)| paths(value, &at.key(key), found));
        }
        Value::Array(elements) => {
            let elements = elements.iter().enumerate();
            elements.for_each(|(index, value)| paths(value, &at.index(index), found));
        }
        _ => {}
    }
}

/// The built-in defaults as a table.
pub(crate) fn defaults() -> Table {
    Table::try_from(ConfigV1::default()).expect("the defaults have a TOML form")
}

/// Puts the leaves of `above` over those of `below`, and reports the path of each.
fn merge(below: &mut Table, above: Table, at: &KeyPath, on_set: &mut impl FnMut(KeyPath)) {
    for (key, value) in above {
        let path = at.key(&key);
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above, &path, on_set),
            (_, value) => {
                below.insert(key, value);
                on_set(path);
            }
        }
    }
}

/// What of `table` fits the form `T`, whose defaults `template` holds. The rest goes to `refused`.
fn fitting<T: DeserializeOwned>(
    template: &Table,
    table: Table,
    at: &KeyPath,
    refused: &mut Vec<(KeyPath, String)>,
) -> Table {
    let trial = Trial {
        fits: &fits::<T>,
        template,
    };
    trial.table(table, &[], at, refused)
}

/// Whether a table is of the form `T`.
fn fits<T: DeserializeOwned>(table: Table) -> Result<(), String> {
    match table.try_into::<T>() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.message().to_owned()),
    }
}

/// Tries values one by one.
struct Trial<'a> {
    fits: &'a dyn Fn(Table) -> Result<(), String>,
    template: &'a Table,
}

impl Trial<'_> {
    fn table(
        &self,
        table: Table,
        keys: &[&str],
        at: &KeyPath,
        refused: &mut Vec<(KeyPath, String)>,
    ) -> Table {
        let mut fitting = Table::new();
        for (key, value) in table {
            let path = at.key(&key);
            let keys = [keys, &[key.as_str()]].concat();
            if let Some(value) = self.value(value, &keys, &path, refused) {
                fitting.insert(key, value);
            }
        }
        fitting
    }

    fn value(
        &self,
        value: Value,
        keys: &[&str],
        at: &KeyPath,
        refused: &mut Vec<(KeyPath, String)>,
    ) -> Option<Value> {
        // A table that has no place here is one mistake, not as many as it has values.
        let empty = match &value {
            Value::Table(_) => Value::Table(Table::new()),
            Value::Array(_) => Value::Array(Vec::new()),
            _ => value.clone(),
        };
        if let Err(reason) = self.alone(empty, keys) {
            refused.push((at.clone(), reason));
            return None;
        }
        match value {
            Value::Table(table) => Some(Value::Table(self.table(table, keys, at, refused))),
            Value::Array(elements) => {
                let refused_before = refused.len();
                for (index, element) in elements.iter().enumerate() {
                    self.element(element, keys, &at.index(index), refused);
                }
                (refused.len() == refused_before).then_some(Value::Array(elements))
            }
            value => Some(value),
        }
    }

    fn element(
        &self,
        element: &Value,
        keys: &[&str],
        at: &KeyPath,
        refused: &mut Vec<(KeyPath, String)>,
    ) {
        match (keys, element) {
            (["dns", "origins"], Value::Table(origin)) => {
                let template = Table::try_from(Origin::default()).expect("it has a TOML form");
                fitting::<Origin>(&template, origin.clone(), at, refused);
            }
            _ => {
                if let Err(reason) = self.alone(Value::Array(vec![element.clone()]), keys) {
                    refused.push((at.clone(), reason));
                }
            }
        }
    }

    /// Tries the template with nothing but this value changed.
    fn alone(&self, value: Value, keys: &[&str]) -> Result<(), String> {
        let mut table = self.template.clone();
        set(&mut table, keys, value);
        (self.fits)(table)
    }
}

/// Sets the value at `keys`, and makes the tables on the way.
pub(crate) fn set(table: &mut Table, keys: &[&str], value: Value) {
    match keys {
        [] => {}
        [key] => {
            table.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let inner = table
                .entry(*key)
                .or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            set(inner.as_table_mut().expect("it was made one"), rest, value);
        }
    }
}

//! The effective configuration as text.

use quorate_setting::{KeyPath, SettingValue, Table, Value};

use super::{Source, layers::Layers};

/// The column of the comments, if the value is short enough.
const COMMENT_COLUMN: usize = 44;

/// Formats all settings as TOML that can be loaded again, each with its source in a comment.
pub(super) fn show(layers: &Layers) -> String {
    let mut out = String::new();
    if let Value::Table(effective) = layers.config.value() {
        show_table(layers, &effective, &KeyPath::default(), &mut out);
    }
    out
}

fn show_table(layers: &Layers, table: &Table, at: &KeyPath, out: &mut String) {
    let (inner, leaves): (Vec<_>, Vec<_>) = table
        .iter()
        .partition(|(_, value)| value.is_table() || is_array_of_tables(value));
    for (key, value) in leaves {
        show_leaf(key, value, &layers.source(&at.key(key)), out);
    }
    for (key, value) in inner {
        let path = at.key(key);
        if let Value::Table(table) = value {
            out.push_str(&format!("\n[{path}]\n"));
            show_table(layers, table, &path, out);
        }
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            out.push_str(&format!("\n[[{path}]]\n"));
            show_element(layers, element, &path.index(index), out);
        }
    }
}

/// Formats an element of an array of tables, with each nested table on one line. A layer sets the complete
/// array, but what an element leaves out has its default.
fn show_element(layers: &Layers, element: &Value, at: &KeyPath, out: &mut String) {
    for (key, value) in element.as_table().into_iter().flatten() {
        let path = at.key(key);
        let source = if layers.is_written(&path) {
            layers.source(&path)
        } else {
            Source::Default
        };
        show_leaf(key, value, &source, out);
    }
}

fn show_leaf(key: &str, value: &Value, source: &Source, out: &mut String) {
    let setting = format!("{} = {value}", KeyPath::default().key(key));
    out.push_str(&format!("{setting:<COMMENT_COLUMN$} # {source}\n"));
}

fn is_array_of_tables(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|elements| elements.first().is_some_and(Value::is_table))
}

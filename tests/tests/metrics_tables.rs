//! The metrics of a node as the tables of `docs/METRICS.md`.
//!
//! Name, type, labels and help are declared once, in a crate; this reads them from a node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// The metric whose labels are about the program.
const BUILD_INFO: &str = "quorate_build_info";

/// One metric: its type, its help, and the values that each label has.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// A heading and a table for each room whose metrics `text`, in the text format of Prometheus, has.
pub(crate) fn tables(text: &str) -> String {
    let mut rooms: BTreeMap<&str, String> = BTreeMap::new();
    let families = families(text);
    for (name, family) in &families {
        let room = match name.strip_prefix("quorate_") {
            Some(rest) => rest.split('_').next().expect("it is quorate_<room>_<name>"),
            // The metrics that programs of all kinds have.
            None => "process",
        };
        let labels = family.labels.iter().map(|(label, values)| match *name {
            // Each build has its own.
            BUILD_INFO => format!("`{label}`"),
            _ => {
                let values: Vec<_> = values.iter().map(String::as_str).collect();
                format!("`{label}`: {}", values.join(", "))
            }
        });
        let labels: Vec<_> = labels.collect();
        let labels = match labels.is_empty() {
            true => "none".to_owned(),
            false => labels.join("<br>"),
        };
        let table = rooms.entry(room).or_insert_with(|| {
            format!("### {room}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n")
        });
        writeln!(
            table,
            "| `{name}` | {} | {labels} | {} |",
            family.kind, family.help
        )
        .expect("a String takes every write");
    }
    rooms.into_values().collect::<Vec<_>>().join("\n")
}

fn families(text: &str) -> BTreeMap<&str, Family> {
    let mut families: BTreeMap<&str, Family> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            families.entry(name).or_default().help = help.to_owned();
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        {
            families.entry(name).or_default().kind = kind.to_owned();
        } else if let Some((sample, labels)) = line.split_once('{') {
            let (labels, _) = labels.rsplit_once('}').expect("a brace is closed");
            // A histogram's samples have a suffix, and its buckets a label for their bounds.
            let sample = sample.strip_suffix("_count").unwrap_or(sample);
            let Some(family) = families.get_mut(sample) else {
                continue;
            };
            for pair in labels.split(',') {
                let (label, value) = pair.split_once('=').expect("a label has a value");
                let values = family.labels.entry(label.to_owned()).or_default();
                values.insert(value.trim_matches('"').to_owned());
            }
        }
    }
    families
}

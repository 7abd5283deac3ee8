//! What a node is told: settings from four layers, each checked, each knowing where it came from.
//!
//! Built-in defaults, then a TOML file, then environment variables, then flags: the later wins.
//! Nothing is bound or opened before all of it is parsed and checked, and everything that is wrong
//! is told at once, with file, line, key and reason.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ConfigV1`] | the settings with their defaults: version 1 of the form |
//! | [`load`] | lays the layers and checks them |
//! | [`Loaded`] | the settings, and which layer set each |
//! | [`Problem`] | what is wrong, or doubtful |

mod check;
mod document;
mod environment;
mod file;
mod layers;
mod problem;
mod rooms;
mod settings;
mod show;

use std::path::PathBuf;

use quorate_setting::{Finding, Value};

pub(crate) use document::{example, reference};
pub(crate) use problem::{Problem, Problems, Source};
pub(crate) use settings::{ConfigV1, INSTEAD};

use layers::{Layer, Layers};

/// Where settings are taken from, beside the built-in defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    /// Environment variables, those of others among them.
    pub(crate) environment: Vec<(String, String)>,
    /// Settings given by flags, by their keys, as the file would have them.
    pub(crate) flags: Vec<(&'static str, Value)>,
}

impl Sources {
    /// This file and the environment of this process, whose variables that are not Unicode are none
    /// of ours.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            file,
            environment: environment.collect(),
            flags: Vec::new(),
        }
    }
}

/// A configuration that was checked.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: ConfigV1,
    /// What is allowed but doubtful.
    pub(crate) warnings: Vec<Problem>,
    pub(crate) sources: Sources,
    layers: Layers,
}

/// Lays all layers over each other and checks what comes of it.
pub(crate) fn load(sources: Sources) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut layers = Layers::default();
    if let Some(path) = &sources.file {
        match file::read(path) {
            Ok(layer) => problems.extend(layers.merge(layer)),
            // What the file was to say is unknown: checking the rest would only add noise.
            Err(errors) => return Err(Problems(errors)),
        }
    }
    let (layer, errors) = environment::read(sources.environment.iter().cloned());
    problems.extend(errors);
    problems.extend(layers.merge(layer));
    let mut flags = Layer::default();
    for (key, value) in &sources.flags {
        let flag = Source::Flag(format!("--{}", key.replace(['.', '_'], "-")));
        flags.set((*key).into(), value.clone(), flag);
    }
    problems.extend(layers.merge(flags));

    layers.follow_profile();
    let findings = check::check(&layers.config);
    let locate = |found: Finding| Problem {
        source: locate(&found, &layers),
        key: Some(found.key),
        reason: found.reason,
    };
    problems.extend(findings.errors.into_iter().map(locate));
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let warnings = findings.warnings.into_iter().map(locate).collect();
    Ok(Loaded {
        config: layers.config.clone(),
        warnings,
        sources,
        layers,
    })
}

/// Where to look for what was found: at the first of its keys that somebody set.
fn locate(found: &Finding, layers: &Layers) -> Source {
    let keys = std::iter::once(&found.key).chain(&found.related);
    keys.map(|key| layers.source(key))
        .find(|source| *source != Source::Default)
        .unwrap_or(Source::Default)
}

impl Loaded {
    /// Which layer set the value at `key`.
    #[cfg(test)]
    pub(crate) fn source(&self, key: &str) -> Source {
        self.layers.source(&key.into())
    }

    /// The effective settings as TOML, each with a comment that says which layer set it.
    pub(crate) fn show(&self) -> String {
        show::show(&self.layers)
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

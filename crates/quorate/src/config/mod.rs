//! The configuration of a node: settings from four layers, each checked, each with its source.
//! Built-in defaults, then a TOML file, then environment variables, then flags: later ones override
//! earlier ones. Everything is parsed and checked before anything is bound or opened. All errors are
//! reported together, each with file, line, key and reason.
//!
//! | item | purpose |
//! |---|---|
//! | [`ConfigV1`] | the settings with their defaults: version 1 of the format |
//! | [`load`] | merges the layers and checks them |
//! | [`LoadedConfig`] | the settings, and which layer set each |
//! | [`Problem`] | an error or a warning |

mod check;
mod crate_configs;
mod document;
mod environment;
mod file;
mod layers;
mod problem;
mod settings;
mod show;
mod tls;

use std::path::PathBuf;

use quorate_setting::{Finding, Value};

pub(crate) use document::{example, reference};
pub(crate) use problem::{Problem, Problems, Source};
pub(crate) use settings::{ConfigV1, REMOVED_ADVICE};

use layers::{Layer, Layers};

/// The sources of settings above the built-in defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    /// All environment variables.
    pub(crate) environment: Vec<(String, String)>,
    /// Settings of flags, by key, in the format of the file.
    pub(crate) flags: Vec<(&'static str, Value)>,
}

impl Sources {
    /// This file and the environment of this process, without variables that are not Unicode.
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

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct LoadedConfig {
    pub(crate) config: ConfigV1,
    /// The warnings.
    pub(crate) warnings: Vec<Problem>,
    pub(crate) sources: Sources,
    layers: Layers,
}

/// Merges all layers and checks the result.
pub(crate) fn load(sources: Sources) -> Result<LoadedConfig, Problems> {
    let mut problems = Vec::new();
    let mut layers = Layers::default();
    if let Some(path) = &sources.file {
        match file::read(path) {
            Ok(layer) => problems.extend(layers.merge(layer)),
            // Without the values of the file, further checks would only add noise.
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

    layers.apply_profile();
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
    Ok(LoadedConfig {
        config: layers.config.clone(),
        warnings,
        sources,
        layers,
    })
}

/// The source of a finding: that of the first of its keys that a layer set.
fn locate(found: &Finding, layers: &Layers) -> Source {
    let keys = std::iter::once(&found.key).chain(&found.related);
    keys.map(|key| layers.source(key))
        .find(|source| *source != Source::Default)
        .unwrap_or(Source::Default)
}

impl LoadedConfig {
    /// The layer that set the value of `key`.
    #[cfg(test)]
    pub(crate) fn source(&self, key: &str) -> Source {
        self.layers.source(&key.into())
    }

    /// The effective settings as TOML, each with its source in a comment.
    pub(crate) fn show(&self) -> String {
        show::show(&self.layers)
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

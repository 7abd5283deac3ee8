//! Log lines of the program: structured, on standard error.

use std::{
    ffi::OsString,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_admin::LogControl;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

/// The default filter of a node.
pub(crate) const NODE_LOGS: &str = "info";

/// The filter of `quorate dev`. Its nodes start one after the other, so failed connections at first are
/// left out.
pub(crate) const DEV_LOGS: &str = "warn,quorate_peer=error";

/// Left out unless a filter names them: openraft logs every failed heartbeat, and much more at finer levels, and
/// object_store every retry. Our own lines report what matters.
const QUIET: [&str; 2] = ["openraft=off", "object_store=off"];

/// The variable that overrides the configuration, as in most Rust programs.
const VARIABLE: &str = "RUST_LOG";

/// The target of changes by operators, which is always logged.
const AUDIT: &str = "quorate::audit";

/// The variable of users who want no colors (no-color.org).
const NO_COLOR: &str = "NO_COLOR";

/// The beginning of the names of our crates in filters.
const OURS: &str = "quorate";

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object on each line.
    Json,
}

quorate_setting::impl_setting_value!(LogFormat => "\"text\" or \"json\"");

/// Whether lines have colors. `no_color` is the value of `NO_COLOR`.
fn has_color(is_terminal: bool, no_color: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

/// The log filter, which can be changed while the program runs.
#[derive(Debug, Clone)]
pub(crate) struct Logging {
    handle: Handle<Targets, Registry>,
    filter: Arc<Mutex<String>>,
}

impl Logging {
    /// Starts logging to standard error with the filter of `RUST_LOG`, otherwise `configured`.
    pub(crate) fn start(configured: &str, format: LogFormat) -> Self {
        let filter = overruled(configured);
        let (layer, handle) = reload::Layer::new(parse_filter(&filter).unwrap_or_default());
        let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
        let has_color = has_color(is_terminal, std::env::var_os(NO_COLOR));
        let text = (format == LogFormat::Text)
            .then(|| fmt::layer().with_writer(io::stderr).with_ansi(has_color));
        let json = (format == LogFormat::Json).then(|| fmt::layer().with_writer(io::stderr).json());
        // An error means that a test has started logging before.
        let _ = tracing_subscriber::registry()
            .with(layer)
            .with(text)
            .with(json)
            .try_init();
        Self {
            handle,
            filter: Arc::new(Mutex::new(filter)),
        }
    }

    /// A filter without output.
    #[cfg(test)]
    pub(crate) fn detached(filter: &str) -> (Self, reload::Layer<Targets, Registry>) {
        let (layer, handle) = reload::Layer::new(parse_filter(filter).unwrap());
        let filter = Arc::new(Mutex::new(filter.to_owned()));
        (Self { handle, filter }, layer)
    }

    /// Applies the configured filter, unless `RUST_LOG` overrides it. Returns whether the filter changed.
    pub(crate) fn follow(&self, configured: &str) -> Result<bool, String> {
        let before = self.filter();
        self.set_filter(&overruled(configured))?;
        Ok(self.filter() != before)
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogControl for Logging {
    fn filter(&self) -> String {
        self.lock().clone()
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        let parsed = parse_filter(filter)?;
        let mut current = self.lock();
        let reloaded = self.handle.reload(parsed);
        reloaded.map_err(|error| error.to_string())?;
        filter.clone_into(&mut current);
        Ok(())
    }
}

/// The value of `RUST_LOG` if it is valid, otherwise `configured`.
fn overruled(configured: &str) -> String {
    let variable = std::env::var(VARIABLE).ok();
    let variable = variable.filter(|filter| !filter.is_empty() && parse_filter(filter).is_ok());
    variable.unwrap_or_else(|| configured.to_owned())
}

/// Parses a filter such as `info,quorate_raft=debug`.
pub(crate) fn parse_filter(filter: &str) -> Result<Targets, String> {
    let parts = filter.split(',').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    // `Targets` would read these as something else.
    let is_wrong = |part: &&&str| {
        // A misspelt level would be read as the name of a part, and everything else would be silent.
        let is_unknown = part.parse::<LevelFilter>().is_err() && !part.starts_with(OURS);
        part.contains('[')
            || part.starts_with('=')
            || part.ends_with('=')
            || (!part.contains('=') && is_unknown)
    };
    if let Some(wrong) = parts.iter().find(is_wrong) {
        return Err(format!(
            "`{wrong}` is neither a level (off, error, warn, info, debug or trace) nor a part of the program \
             with one, such as `quorate_raft=debug`"
        ));
    }
    let all = [&QUIET, &parts[..]].concat().join(",");
    let parsed: Targets = all.parse().map_err(|error| format!("{error}"))?;
    Ok(parsed.with_target(AUDIT, LevelFilter::INFO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_filters_are_parsed_and_others_rejected() {
        for filter in [NODE_LOGS, DEV_LOGS, "", "off", "info,quorate_raft=debug"] {
            let parsed = parse_filter(filter).unwrap().to_string();
            assert!(parsed.contains("quorate::audit=info"), "{filter}: {parsed}");
            for quiet in QUIET {
                assert!(parsed.contains(quiet), "{filter}: {parsed}");
            }
        }
        let chatty = parse_filter("info,openraft=debug").unwrap().to_string();
        assert!(
            chatty.contains("openraft=debug") && !chatty.contains(QUIET[0]),
            "{chatty}"
        );
        // Empty parts are ignored.
        let sparse = parse_filter("info,,quorate_raft=debug, ").unwrap();
        assert_eq!(sparse, parse_filter("info,quorate_raft=debug").unwrap());
        for wrong in [
            "info,quorate_raft=loud",
            "=",
            "a=b=c",
            "=debug",
            "quorate_raft=",
            "info,[request]=debug",
            "quorate_http[{id}]=debug",
            "inof",
            "info,hyper",
            "inof,quorate_raft=debug",
        ] {
            assert!(parse_filter(wrong).is_err(), "{wrong}");
        }
        let error = parse_filter("warn,inof").unwrap_err();
        assert!(
            error.starts_with("`inof` is neither a level (off, "),
            "{error}"
        );
        parse_filter("WARN,quorate_raft,hyper=info").unwrap();
    }

    #[test]
    fn colors_are_only_for_terminals_and_without_no_color() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (false, None, false),
            (false, Some(""), false),
        ] {
            let no_color = no_color.map(OsString::from);
            assert_eq!(has_color(is_terminal, no_color), expected);
        }
    }

    #[test]
    fn a_rejected_filter_changes_nothing() {
        let (logging, _layer) = Logging::detached("info");
        assert!(logging.set_filter("loud=loud").is_err());
        assert_eq!(logging.filter(), "info");
    }
}

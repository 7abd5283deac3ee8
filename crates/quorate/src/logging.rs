//! What the program tells of itself: structured lines on standard error.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_admin::LogControl;
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

/// What a node logs when nothing else is said.
pub(crate) const NODE_LOGS: &str = "info";

/// What a cluster to try things out logs, beside what it prints: that its nodes, started one by one,
/// do not find each other at once is no news.
pub(crate) const DEV_LOGS: &str = "warn,quorate_peer=error";

/// What is left out unless a filter names it. Consensus tells of every heartbeat that fails, and of
/// more at finer levels than anybody reads; what matters of it, our own lines say.
const QUIET: &str = "openraft=off";

/// The variable that overrules what is configured, as with most programs in Rust.
const VARIABLE: &str = "RUST_LOG";

/// Where changes by operators are told: always.
const AUDIT: &str = "quorate::audit";

/// Which lines are written; it can be changed while the program runs.
#[derive(Debug, Clone)]
pub(crate) struct Logging {
    handle: Handle<Targets, Registry>,
    filter: Arc<Mutex<String>>,
}

impl Logging {
    /// Writes logs to standard error from now on: what `RUST_LOG` asks for, else `configured`.
    pub(crate) fn start(configured: &str) -> Self {
        let filter = overruled(configured);
        let (layer, handle) = reload::Layer::new(parse_filter(&filter).unwrap_or_default());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
        // Fails where a test has begun to log before.
        let _ = tracing_subscriber::registry()
            .with(layer)
            .with(lines)
            .try_init();
        Self {
            handle,
            filter: Arc::new(Mutex::new(filter)),
        }
    }

    /// A filter that nothing is written by, as long as the layer lives.
    #[cfg(test)]
    pub(crate) fn detached(filter: &str) -> (Self, reload::Layer<Targets, Registry>) {
        let (layer, handle) = reload::Layer::new(parse_filter(filter).unwrap());
        let filter = Arc::new(Mutex::new(filter.to_owned()));
        (Self { handle, filter }, layer)
    }

    /// Logs as the configuration says, unless `RUST_LOG` overrules it. Whether that is another filter
    /// than before.
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

/// What `RUST_LOG` says if it can be read, else `configured`.
fn overruled(configured: &str) -> String {
    let variable = std::env::var(VARIABLE).ok();
    let variable = variable.filter(|filter| !filter.is_empty() && parse_filter(filter).is_ok());
    variable.unwrap_or_else(|| configured.to_owned())
}

/// Parses a filter such as `info,quorate_raft=debug`.
pub(crate) fn parse_filter(filter: &str) -> Result<Targets, String> {
    let parts = filter.split(',').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    // What `Targets` would take for something else.
    let is_wrong =
        |part: &&&str| part.contains('[') || part.starts_with('=') || part.ends_with('=');
    if let Some(wrong) = parts.iter().find(is_wrong) {
        return Err(format!(
            "`{wrong}` is neither a level, such as `info`, nor a part of the program with one, such as \
             `quorate_raft=debug`"
        ));
    }
    let all = [&[QUIET], &parts[..]].concat().join(",");
    let parsed: Targets = all.parse().map_err(|error| format!("{error}"))?;
    Ok(parsed.with_target(AUDIT, LevelFilter::INFO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_what_is_none_is_refused() {
        for filter in [NODE_LOGS, DEV_LOGS, "", "off", "info,quorate_raft=debug"] {
            let parsed = parse_filter(filter).unwrap().to_string();
            assert!(parsed.contains("quorate::audit=info"), "{filter}: {parsed}");
            assert!(parsed.contains(QUIET), "{filter}: {parsed}");
        }
        let chatty = parse_filter("info,openraft=debug").unwrap().to_string();
        assert!(
            chatty.contains("openraft=debug") && !chatty.contains(QUIET),
            "{chatty}"
        );
        // An empty part says nothing.
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
        ] {
            assert!(parse_filter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_filter_that_is_refused_changes_nothing() {
        let (logging, _layer) = Logging::detached("info");
        assert!(logging.set_filter("loud=loud").is_err());
        assert_eq!(logging.filter(), "info");
    }
}

//! Settings that can be changed while the node runs, and their reload.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_admin::{Reload, ReloadReport, Tokens};
use quorate_disk::LinuxDisk;
use quorate_dns::{AnswerLimits, SharedLimits};
use quorate_http::{ClientRules, ServerCertificate};
use quorate_limit::{ByteRates, LimitMetrics, RequestLimits, ResponseRates, TableLabel};
use quorate_peer::chain;
use quorate_setting::{KeyPath, SettingValue, Value};

use crate::{
    config::{self, ConfigV1, Sources},
    logging::Logging,
};

/// The setting of the log filter.
const FILTER: &str = "logging.filter";

/// The setting of the tokens file; in reports it stands for the contents of the file.
const TOKENS_FILE: &str = "admin.tokens_file";

/// The setting of the certificate file; in reports it stands for the contents of both files.
const CERTIFICATE_FILE: &str = "tls.certificate_file";

/// Settings whose changes take effect immediately. A section stands for everything in it.
const LIVE: [&str; 3] = ["limit", "http.trusted_proxies", FILTER];

/// The settings in force, and the values derived from those that can be changed. Clones share them.
#[derive(Clone)]
pub(crate) struct LiveSettings {
    /// The sources, if they can be reloaded.
    sources: Option<Sources>,
    in_force: Arc<Mutex<ConfigV1>>,
    pub(crate) logging: Logging,
    /// The rules for HTTP clients; a reload replaces them.
    pub(crate) rules: ClientRules,
    /// The byte rates of HTTP clients; a reload replaces them.
    pub(crate) byte_rates: ByteRates,
    limit_metrics: LimitMetrics,
    /// The limits for DNS clients; a reload replaces them.
    pub(crate) answer_limits: SharedLimits,
    /// The admin tokens; a reload replaces them.
    pub(crate) tokens: Arc<Tokens>,
    /// The certificate; a reload replaces it.
    pub(crate) certificate: Option<ServerCertificate>,
}

impl Reload for LiveSettings {
    fn reload(&self) -> Result<ReloadReport, String> {
        let reloaded = self.try_reload();
        match &reloaded {
            Ok(report) => tracing::info!(
                changed = report.changed.join(", "),
                needs_restart = report.needs_restart.join(", "),
                "read the configuration again"
            ),
            Err(reason) => {
                tracing::error!(
                    reason,
                    "the configuration is invalid; the present one stays in force"
                );
            }
        }
        reloaded
    }
}

impl LiveSettings {
    /// The settings of a starting node. Fails if the tokens file or the certificate files cannot be used.
    pub(crate) fn new(
        config: &ConfigV1,
        sources: Option<Sources>,
        logging: Logging,
        limit_metrics: LimitMetrics,
    ) -> anyhow::Result<Self> {
        let requests = RequestLimits::new(&config.limit, &limit_metrics);
        note_memory_of_answers(config, &limit_metrics);
        let files = config.tls.is_set().then(|| config.tls.files());
        let certificate = files.map(|files| ServerCertificate::open(Arc::new(LinuxDisk), files));
        Ok(Self {
            certificate: certificate.transpose()?,
            sources,
            logging,
            rules: ClientRules::new(requests, config.http.trusted_proxies.clone()),
            byte_rates: ByteRates::new(&config.limit, &limit_metrics),
            limit_metrics,
            answer_limits: SharedLimits::new(AnswerLimits::new(&config.limit)),
            tokens: Arc::new(Tokens::open(&config.admin.tokens_file)?),
            in_force: Arc::new(Mutex::new(config.clone())),
        })
    }

    /// All settings in force.
    pub(crate) fn in_force(&self) -> MutexGuard<'_, ConfigV1> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs every step that can fail first, so that a failure changes nothing.
    fn try_reload(&self) -> Result<ReloadReport, String> {
        let message = "the settings of this node cannot be reloaded";
        let sources = self.sources.clone().ok_or(message)?;
        let mut in_force = self.in_force();
        let loaded = config::load(sources).map_err(|problems| problems.to_string())?;
        let tokens = self.tokens.read().map_err(|error| chain(&error))?;
        let certificate = self.certificate.as_ref().map(ServerCertificate::read);
        let certificate = certificate.transpose().map_err(|error| chain(&error))?;
        let filter_has_changed = self.logging.follow(&loaded.config.logging.filter)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }

        let differences = differences(&in_force, &loaded.config);
        let (mut changed, needs_restart): (Vec<_>, Vec<_>) =
            differences.into_iter().partition(is_live);
        // The log filter may differ from the configured one, or be overridden.
        changed.retain(|key| *key != KeyPath::from(FILTER));
        if filter_has_changed {
            changed.push(FILTER.into());
        }
        if self.tokens.replace(tokens) {
            changed.push(TOKENS_FILE.into());
        }
        if let (Some(current), Some(pair)) = (&self.certificate, certificate)
            && current.replace(pair)
        {
            changed.push(CERTIFICATE_FILE.into());
        }
        let proxies = loaded.config.http.trusted_proxies.clone();
        self.rules.trusted_proxies.store(Arc::new(proxies));
        // Unchanged limits keep their counters.
        if in_force.limit != loaded.config.limit {
            self.replace_limits(&loaded.config);
        }
        in_force.limit = loaded.config.limit;
        in_force.http.trusted_proxies = loaded.config.http.trusted_proxies;
        in_force.logging.filter = loaded.config.logging.filter;
        let names = |keys: Vec<KeyPath>| keys.iter().map(ToString::to_string).collect();
        Ok(ReloadReport {
            changed: names(changed),
            needs_restart: names(needs_restart),
        })
    }

    fn replace_limits(&self, config: &ConfigV1) {
        let (limit, metrics) = (&config.limit, &self.limit_metrics);
        self.rules.limits.replace(limit, metrics);
        self.byte_rates.replace(limit, metrics);
        self.answer_limits.replace(AnswerLimits::new(limit));
        note_memory_of_answers(config, metrics);
    }
}

/// The tables of DNS have no metrics, and their size never changes.
fn note_memory_of_answers(config: &ConfigV1, metrics: &LimitMetrics) {
    let size = if config.limit.enabled {
        ResponseRates::SIZE
    } else {
        0
    };
    metrics.set_memory(TableLabel::DnsAnswers, size);
}

fn is_live(key: &KeyPath) -> bool {
    LIVE.iter()
        .map(|live| KeyPath::from(*live))
        .any(|live| *key == live || key.is_inside(&live))
}

/// The keys of settings that differ. A list counts as one setting.
fn differences(one: &ConfigV1, other: &ConfigV1) -> Vec<KeyPath> {
    let mut found = Vec::new();
    compare(
        &one.value(),
        &other.value(),
        &KeyPath::default(),
        &mut found,
    );
    found
}

fn compare(one: &Value, other: &Value, at: &KeyPath, found: &mut Vec<KeyPath>) {
    match (one, other) {
        // A struct always has all its settings.
        (Value::Table(one), Value::Table(other)) if one.keys().eq(other.keys()) => {
            for ((key, one), (_, other)) in one.iter().zip(other) {
                compare(one, other, &at.key(key), found);
            }
        }
        _ if one == other => {}
        _ => found.push(at.clone()),
    }
}

#[cfg(test)]
#[path = "live_settings_tests.rs"]
mod tests;

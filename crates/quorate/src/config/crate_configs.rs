//! Converts the settings to the configuration of each crate.

use std::time::Duration;

use quorate_http::listener::ListenAddresses;
use quorate_peer::{ClusterId, Identity};
use quorate_raft::{Cleanup, Settings};
use quorate_setting::Findings;
use quorate_zone::Origin;

use super::{ConfigV1, settings::ClusterSettings};

impl ConfigV1 {
    /// The configuration of the node with this identity and address, still without its cluster.
    pub(crate) fn raft(
        &self,
        identity: Identity,
        cluster: ClusterId,
        address: String,
    ) -> quorate_raft::RaftConfig {
        let settings = Settings {
            packets: self.packets.clone(),
            put: self.put.clone(),
            clock: self.clock.clone(),
            raft: self.raft.clone(),
            store: self.store.clone(),
            log: self.log.clone(),
        };
        quorate_raft::RaftConfig {
            name: self.cluster.node_name.clone(),
            level_hold: self.cluster.level_hold,
            address,
            cleanup: self.cluster.cleanup(),
            settings,
            ..quorate_raft::RaftConfig::new(identity, cluster, self.data_dir.clone())
        }
    }

    /// The zones of a checked configuration.
    pub(crate) fn origins(&self) -> Vec<Origin> {
        let origins = self.dns.origins(&"dns".into(), &mut Findings::default());
        origins.expect("zones are checked with the configuration")
    }

    /// The deadline of the relay for an answer.
    pub(crate) fn relay_deadline(&self) -> Duration {
        Duration::from_millis(self.put.deadline_ms) + quorate_relay::ANSWER_MARGIN
    }

    pub(crate) fn admin_server(&self) -> quorate_http::HttpConfig {
        let listen = self.admin.listen.clone();
        let (listen, tls_listen) = match self.admin.tls {
            true => (ListenAddresses::default(), listen),
            false => (listen, ListenAddresses::default()),
        };
        quorate_http::HttpConfig {
            listen,
            tls_listen,
            ..quorate_http::HttpConfig::default()
        }
    }

    pub(crate) fn http_server(&self) -> quorate_http::HttpConfig {
        quorate_http::HttpConfig {
            // A stopping node still answers every PUT that it has accepted.
            drain_timeout: self.relay_deadline(),
            ..self.http.clone()
        }
    }
}

impl ClusterSettings {
    fn cleanup(&self) -> Option<Cleanup> {
        let after = Duration::from_secs(self.cleanup_after_secs);
        (!after.is_zero()).then_some(Cleanup {
            after,
            voters_min: self.cleanup_voters_min,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_equal_those_of_the_crates() {
        let config = ConfigV1::default();
        let deadline = quorate_relay::RelayConfig::default().deadline;
        assert_eq!(config.relay_deadline(), deadline);
        // The replica knows what was proposed, so it must answer before the deadline of the relay.
        let replica_deadline = Duration::from_millis(Settings::default().put.deadline_ms);
        assert!(deadline > replica_deadline, "{deadline:?}");
        let server = quorate_http::HttpConfig {
            drain_timeout: deadline,
            ..quorate_http::HttpConfig::default()
        };
        assert_eq!(config.http_server(), server);
        let raft = config.raft(
            Identity::from_seed(&[7; 32]),
            ClusterId([1; 32]),
            "here:7700".to_owned(),
        );
        assert_eq!(raft.settings, Settings::default());
        assert_eq!(raft.cleanup, None, "no voter is removed automatically");
    }

    #[test]
    fn cleanup_has_the_configured_values() {
        let mut config = ConfigV1::default();
        config.cluster.cleanup_after_secs = 3600;
        config.cluster.cleanup_voters_min = 5;
        let cleanup = Cleanup {
            after: Duration::from_secs(3600),
            voters_min: 5,
        };
        assert_eq!(config.cluster.cleanup(), Some(cleanup));
    }
}

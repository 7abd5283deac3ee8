//! The settings in the form that each room wants them.

use std::{collections::BTreeMap, time::Duration};

use quorate_authority::Authority;
use quorate_limit::{ClientLimit, TrustedProxies};
use quorate_packet::PublicKey;
use quorate_raft::Settings;
use quorate_rpc::NodeId;
use quorate_setting::Findings;

use super::ConfigV1;

impl ConfigV1 {
    /// The founding voters and their addresses. A node without a list founds a cluster by itself,
    /// and nobody dials it.
    pub(crate) fn voters(&self, identity: PublicKey) -> BTreeMap<NodeId, String> {
        if self.cluster.nodes.is_empty() {
            return BTreeMap::from([(NodeId(identity), self.peer.listen.to_string())]);
        }
        let nodes = self.cluster.nodes.iter();
        nodes
            .map(|node| (NodeId(node.key), node.address.clone()))
            .collect()
    }

    /// The node of this identity, and whether it has been part of the cluster before.
    pub(crate) fn raft(&self, identity: PublicKey, has_joined: bool) -> quorate_raft::Config {
        let settings = Settings {
            packets: self.packets.clone(),
            put: self.put.clone(),
            clock: self.clock.clone(),
            raft: self.raft.clone(),
            store: self.store.clone(),
            log: self.log.clone(),
        };
        quorate_raft::Config {
            has_joined,
            settings,
            ..quorate_raft::Config::new(
                NodeId(identity),
                self.voters(identity),
                self.data_dir.clone(),
            )
        }
    }

    /// The zones, which must have been checked.
    pub(crate) fn authority(&self) -> Authority {
        let authority = self.dns.authority(&"dns".into(), &mut Findings::default());
        authority.expect("zones are checked with the configuration")
    }

    /// The relay.
    pub(crate) fn relay(&self) -> quorate_relay::Config {
        let limit = &self.limit;
        quorate_relay::Config {
            limit: limit.enabled.then(|| ClientLimit::new(limit)),
            trusted_proxies: TrustedProxies::parse(&self.http.trusted_proxies)
                .expect("each was parsed when the configuration was checked"),
            deadline: self.relay_deadline(),
        }
    }

    fn relay_deadline(&self) -> Duration {
        Duration::from_millis(self.put.deadline_ms) + quorate_relay::ANSWER_MARGIN
    }

    /// The public HTTP server.
    pub(crate) fn http_server(&self) -> quorate_http::Config {
        quorate_http::Config {
            // A node that stops still answers every PUT that it has taken.
            drain_timeout: self.relay_deadline(),
            ..self.http.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_rooms() {
        let config = ConfigV1::default();
        assert!(config.relay().limit.is_some());
        let deadline = quorate_relay::Config::default().deadline;
        assert_eq!(config.relay().deadline, deadline);
        let server = quorate_http::Config {
            drain_timeout: deadline,
            ..quorate_http::Config::default()
        };
        assert_eq!(config.http_server(), server);
        let raft = config.raft(PublicKey::from_bytes([7; 32]), false);
        assert_eq!(raft.settings, Settings::default());
    }

    #[test]
    fn a_node_without_a_list_founds_a_cluster_by_itself() {
        let mut config = ConfigV1::default();
        let identity = PublicKey::from_bytes([7; 32]);
        assert_eq!(
            config.voters(identity).into_keys().collect::<Vec<_>>(),
            [NodeId(identity)]
        );
        let other = "36hua9cfga3qfsky7dau4ukkrpy6xy5ob5enbtzhfd1581pg7b7o@a.example.org:7700";
        config.cluster.nodes.push(other.parse().unwrap());
        let voters: Vec<_> = config.voters(identity).into_values().collect();
        assert_eq!(voters, ["a.example.org:7700"]);
    }

    #[test]
    fn a_limit_that_is_off_is_none() {
        let mut config = ConfigV1::default();
        config.limit.enabled = false;
        assert!(config.relay().limit.is_none());
    }
}

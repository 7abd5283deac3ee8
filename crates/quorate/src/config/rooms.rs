//! The settings in the form that each room wants them.

use std::{collections::BTreeMap, time::Duration};

use quorate_limit::{ClientLimit, TrustedProxies};
use quorate_packet::PublicKey;
use quorate_rpc::NodeId;
use quorate_setting::{Findings, KeyPath};

use super::ConfigV1;

/// How much later than the replica the relay gives up: the replica's own answer says more.
const RELAY_DEADLINE_MARGIN: Duration = Duration::from_millis(500);

impl ConfigV1 {
    /// How long the replica may take for a PUT.
    pub(crate) fn put_deadline(&self) -> Duration {
        Duration::from_millis(self.put.deadline_ms)
    }

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
        let settings = quorate_raft::Settings {
            packets: self.packets.clone(),
            put: self.put.clone(),
            raft: self.raft.clone(),
            store: self.store.clone(),
            log: self.log.clone(),
        };
        quorate_raft::Config {
            has_joined,
            ..quorate_raft::Config::with_settings(
                NodeId(identity),
                self.voters(identity),
                self.data_dir.clone(),
                &settings,
            )
        }
    }

    /// The zones. Their names must have been checked.
    pub(crate) fn origins(&self) -> Vec<quorate_authority::Origin> {
        let key = KeyPath::from("dns.origins");
        let origins = self.dns.origins.iter();
        let zones = origins.map(|origin| origin.zone(&key, &mut Findings::default()));
        zones
            .collect::<Option<_>>()
            .expect("names are parsed when the configuration is checked")
    }

    /// The limit of PUTs per client, if there is one.
    pub(crate) fn limit(&self) -> Option<quorate_limit::Config> {
        self.limit.enabled.then(|| (&self.limit).into())
    }

    /// The relay.
    pub(crate) fn relay(&self) -> quorate_relay::Config {
        quorate_relay::Config {
            limit: self.limit().map(|limit| ClientLimit::new(&limit)),
            trusted_proxies: TrustedProxies::parse(&self.http.trusted_proxies)
                .expect("each was parsed when the configuration was checked"),
            deadline: self.put_deadline() + RELAY_DEADLINE_MARGIN,
        }
    }

    /// The public HTTP server.
    pub(crate) fn http_server(&self) -> quorate_http::Config {
        quorate_http::Config {
            connection_count_max: self.http.connection_count_max,
            // A node that stops still answers every PUT that it has taken.
            drain_timeout: self.put_deadline() + RELAY_DEADLINE_MARGIN,
            ..quorate_http::Config::new(self.http.listen)
        }
    }

    /// The DNS server.
    pub(crate) fn dns_server(&self) -> quorate_dns::Config {
        quorate_dns::Config {
            tcp_connection_count_max: self.dns.tcp_connection_count_max,
            ..quorate_dns::Config::new(self.dns.listen)
        }
    }

    /// The HTTP server of operators.
    pub(crate) fn admin_server(&self) -> quorate_http::Config {
        quorate_http::Config::new(self.admin.listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_rooms() {
        let config = ConfigV1::default();
        assert_eq!(config.limit(), Some(quorate_limit::Config::default()));
        assert_eq!(
            config.relay().deadline,
            quorate_relay::Config::default().deadline
        );
        let server = quorate_http::Config {
            drain_timeout: config.relay().deadline,
            ..quorate_http::Config::new(config.http.listen)
        };
        assert_eq!(config.http_server(), server);
        let server = quorate_dns::Config::new(config.dns.listen);
        assert_eq!(config.dns_server(), server);
        let identity = PublicKey::from_bytes([7; 32]);
        let raft = config.raft(identity, false);
        let room = quorate_raft::Config::new(raft.node, raft.voters.clone(), raft.dir.clone());
        assert_eq!(format!("{raft:?}"), format!("{room:?}"));
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

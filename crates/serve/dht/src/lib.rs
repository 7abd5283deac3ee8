//! The bridge to the Mainline DHT (BEP 5), in which keys have values (BEP 44): finds the packets of
//! keys that the cluster does not store.
//!
//! It is off unless the operator switches it on, and then everybody who asks this node makes it send
//! datagrams to strangers. So all of it is bounded:
//!
//! | what | bound |
//! |---|---|
//! | lookups that run | `dht.lookup_count_max`, and a share of it for each client and network |
//! | lookups that start | the rates of `limit.lookup_…` |
//! | lookups of one key | one; all who ask for it wait for the same |
//! | a question's wait | its deadline: what was found by then counts, and the lookup continues |
//! | packets that are kept | `dht.found_count_max`, the least recently used go first |
//! | keys that are known to be absent | `dht.absent_count_max`, likewise |
//! | lookups that never end | another client takes over, which frees them |
//! | keys that wait for their publication | `dht.publish_queue_count_max`; each at most once in 5 min |
//!
//! Of all valid packets the newest wins ([`SignedPacket::recency`]), not the first that arrives: any
//! node of the DHT may return an old one. Publish policy, blocks and deletions are checked whenever a
//! packet is served.
//!
//! | piece | what it is |
//! |---|---|
//! | [`DhtSettings`], [`DhtMode`] | the settings |
//! | [`Bridge`] | the running bridge: lookups for the servers, publications, and requests of operators |
//! | [`DhtMetrics`] | its metrics |
//!
//! [`SignedPacket::recency`]: quorate_packet::SignedPacket::recency

mod bridge;
mod client;
mod config;
mod item;
mod lookups;
mod metrics;
mod operator;
mod publisher;
mod round;
mod round_trips;
#[cfg(test)]
mod test_node;
mod values;

pub use bridge::Bridge;
pub use config::{DhtMode, DhtSettings};
pub use metrics::DhtMetrics;

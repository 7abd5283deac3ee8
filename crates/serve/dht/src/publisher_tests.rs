use std::net::Ipv4Addr;

use mainline::{Dht, Testnet, async_dht::AsyncDht};
use quorate_fake::{FakeReplica, received_now};
use quorate_limit::RequestLimits;
use quorate_metrics::Registry;
use quorate_replica::{DhtBridge, Reader};

use tokio::time::timeout;

use super::*;
use crate::{Bridge, DhtMode, client::LOOKUP_TIMEOUT};

struct Started {
    network: Testnet,
    bridge: Bridge,
    replica: Arc<FakeReplica>,
    metrics: DhtMetrics,
}

async fn start() -> Started {
    let network = Testnet::builder(30).build().unwrap();
    let settings = DhtSettings {
        mode: DhtMode::ResolveAndPublish,
        bootstrap: network.bootstrap[..4].to_vec(),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        ..DhtSettings::default()
    };
    let replica = FakeReplica::new();
    let metrics = DhtMetrics::register(&Registry::new()).unwrap();
    let limits = RequestLimits::default();
    let bridge = Bridge::start(settings, replica.clone(), limits, metrics.clone()).unwrap();
    bridge.connected().await;
    Started {
        network,
        bridge,
        replica,
        metrics,
    }
}

fn packet(micros: u64) -> SignedPacket {
    quorate_fake::packet(1, micros, &format!("at {micros}"), 30)
}

impl Started {
    /// Another program that uses the DHT.
    fn other(&self) -> AsyncDht {
        let mut builder = Dht::builder();
        builder.bootstrap(&self.network.bootstrap);
        builder.bind_address(Ipv4Addr::LOCALHOST).port(0);
        builder.build().unwrap().as_async()
    }

    async fn until_published(&self, label: PublicationLabel, count: u64) {
        let published = async {
            while self.metrics.publications_total.of(label).get() < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(LOOKUP_TIMEOUT, published).await.expect("it ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_packet_is_found_in_the_dht_byte_for_byte() {
    let started = start().await;
    let packet = packet(5);
    started.replica.store(received_now(packet.clone()));
    started.bridge.publish(packet.key());
    started.until_published(PublicationLabel::Stored, 1).await;
    let key = packet.key().as_bytes();
    let found = started.other().get_mutable_most_recent(key, None).await;
    assert_eq!(found, Some(item::item(&packet)));

    // Not again so soon, however often it is signed.
    for micros in 6..20 {
        started.replica.store(received_now(self::packet(micros)));
        started.bridge.publish(packet.key());
    }
    assert_eq!(started.metrics.publications_waiting.get(), 1);
    assert_eq!(started.metrics.publication_delay_seconds.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_packet_in_the_dht_is_stored_and_stays_there() {
    let started = start().await;
    let (old, new) = (packet(5), packet(7));
    let other = started.other();
    other.put_mutable(item::item(&new), None).await.unwrap();
    started.replica.store(received_now(old.clone()));
    started.bridge.publish(old.key());
    started
        .until_published(PublicationLabel::Superseded, 1)
        .await;
    let stored = started.replica.packet(old.key()).unwrap().unwrap();
    assert_eq!(*stored.compiled.packet(), new);
    let found = other.get_mutable_most_recent(old.key().as_bytes(), None);
    assert_eq!(found.await, Some(item::item(&new)));
}

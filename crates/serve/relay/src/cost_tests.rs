//! Counts the allocations of a read.

use std::{hint::black_box, sync::Arc};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
};
use futures_util::FutureExt;
use quorate_fake::{FakeReplica, packet, received_now};
use quorate_http::{Routes, with_cors};
use quorate_metrics::Registry;
use quorate_packet::PublicKey;
use quorate_replica::Reader;

use crate::{RelayConfig, RelayMetrics, router};

/// The most allocations of a read, from the request to the answer that the HTTP server writes,
/// without those to find the packet: 7 are for the answer (its header, four values in it, and its
/// body), the others for the router.
const ALLOCATION_COUNT_MAX: u64 = 18;

struct Fixture {
    replica: Arc<FakeReplica>,
    router: Routes,
    key: PublicKey,
}

impl Fixture {
    fn new() -> Self {
        let replica = FakeReplica::new();
        let packet = packet(1, 1_700_000_000_000_000, "relay=https://relay.test", 30);
        let key = *packet.key();
        replica.store(received_now(packet));
        let metrics = RelayMetrics::register(&Registry::new()).unwrap();
        let router = with_cors(router(replica.clone(), RelayConfig::default(), metrics));
        Self {
            replica,
            router,
            key,
        }
    }

    fn request(&self) -> Request<Body> {
        let path = format!("/pkarr/{}", self.key);
        Request::get(path).body(Body::empty()).unwrap()
    }

    /// Answers a request that never waits.
    fn answer(&mut self, request: Request<Body>) -> Response<Body> {
        let answer = self.router.clone().answer(request).now_or_never();
        answer.expect("it does not wait")
    }
}

#[test]
fn a_read_allocates_little() {
    let mut relay = Fixture::new();
    let first = relay.request();
    assert_eq!(relay.answer(first).status(), StatusCode::OK);
    // The fake compiles the packet at each read, which an index does only once.
    let found = allocation_counter::measure(|| drop(black_box(relay.replica.packet(&relay.key))));
    let request = relay.request();
    let read = allocation_counter::measure(|| drop(black_box(relay.answer(request))));
    let count = read.count_total - found.count_total;
    assert!(count <= ALLOCATION_COUNT_MAX, "{count} allocations");
}

//! What a read costs.

use std::hint::black_box;

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
};
use futures_util::FutureExt;
use quorate_fake::{FakeReplica, packet, received_now};
use quorate_http::with_cors;
use quorate_metrics::Registry;
use tower::Service;

use crate::{Config, Metrics, router};

/// The most allocations of a read, from the request to the answer that the HTTP server writes: ?
const ALLOCATION_COUNT_MAX: u64 = 40;

fn node() -> (Router, String) {
    let replica = FakeReplica::new();
    let packet = packet(1, 1_700_000_000_000_000, "relay=https://relay.test", 30);
    let path = format!("/pkarr/{}", packet.key());
    replica.store(received_now(packet));
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let router = router(replica, Config::default(), metrics);
    (with_cors(router), path)
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Nothing that is asked here waits.
fn answer(router: &mut Router, request: Request<Body>) -> Response<Body> {
    let answer = router.call(request).now_or_never();
    answer.expect("it waits for nothing").unwrap()
}

#[test]
fn a_read_allocates_little() {
    let (mut router, path) = node();
    assert_eq!(answer(&mut router, request(&path)).status(), StatusCode::OK);
    let asked = request(&path);
    let counted = allocation_counter::measure(|| {
        black_box(answer(&mut router, asked));
    });
    println!(
        "{} allocations, {} bytes",
        counted.count_total, counted.bytes_total
    );
    assert!(counted.count_total <= ALLOCATION_COUNT_MAX, "{counted:?}");
}

//! Links between honest nodes, over loopback.

use std::{sync::Arc, time::Duration};

use crate::{Frame, FrameMetadata, Link, LinkError, StreamKind, Transport, message::Response};
use futures_util::{SinkExt, StreamExt, stream};
use prometheus::{Registry, proto::Metric};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use crate::{
    FRAME_SIZE_MAX, LinkServerConfig, PeerMetrics, PeerTransport, TransportConfig,
    frame::Content,
    greeting::{Greeting, Hello},
    test_nodes::*,
    test_service::{Echo, Serve},
};

#[tokio::test]
async fn responses_have_the_numbers_and_metadata_of_their_requests() {
    let bob = Node::bob(Echo).await;
    let link = open(ALICE, bob.address()).await.unwrap();
    let Link {
        mut requests,
        mut responses,
        stated,
    } = link;
    assert_eq!(stated, STATED, "as the service reports");
    let metadata = |number| FrameMetadata {
        clock_ms: number,
        ..FrameMetadata::default()
    };
    let sending = async {
        for number in 0..500 {
            let metadata = metadata(number);
            let numbered = numbered(number, &number.to_string());
            requests
                .feed(Frame {
                    metadata,
                    ..numbered
                })
                .await
                .unwrap();
        }
        requests.flush().await.unwrap();
    };
    let hearing = async {
        for number in 0..500 {
            let response = responses.next().await.unwrap().unwrap();
            let expected = Frame {
                id: number,
                message: Response::Failed(number.to_string()),
                metadata: metadata(number),
            };
            assert_eq!(response, expected);
        }
    };
    timeout(TIMEOUT, async { tokio::join!(sending, hearing) })
        .await
        .unwrap();
}

#[tokio::test]
async fn requests_do_not_wait_for_earlier_responses() {
    // Answers only after ten requests.
    let service = Serve(|requests| {
        read(requests)
            .chunks(10)
            .flat_map(|ten| stream::iter(ten).map(echo))
            .boxed()
    });
    let bob = Node::bob(service).await;
    let mut link = open(ALICE, bob.address()).await.unwrap();
    for number in 0..10 {
        let request = request(&number.to_string());
        link.requests.send(request).await.unwrap();
    }
    for number in 0..10 {
        assert_eq!(receive(&mut link).await, number.to_string());
    }
}

#[tokio::test]
async fn a_link_counts_as_open_at_both_ends_while_it_lives() {
    let bob = Node::bob(Echo).await;
    let registry = Registry::new();
    let metrics = PeerMetrics::register(&registry).unwrap();
    let alice = PeerTransport::new(identity(ALICE), TransportConfig::default(), metrics);
    let open = |registry: &Registry, direction: &str, stream_kind: &str| {
        let wanted = |metric: &Metric| {
            let labels = metric.get_label();
            labels[0].value() == direction && labels[1].value() == stream_kind
        };
        let value = |metric: &Metric| metric.get_gauge().get_value();
        metric_sum(registry, "quorate_peer_links_open", wanted, value)
    };
    let address = bob.address().to_string();
    let opened = alice.open(
        id(BOB),
        address,
        StreamKind::Control,
        Box::new(introduction),
    );
    let Link {
        requests,
        responses,
        ..
    } = opened.await.map_err(text).unwrap();
    assert_eq!(open(&registry, "dialed", "control"), 1.0);
    eventually("the other end counts it too", || {
        open(&bob.registry, "accepted", "control") == 1.0
    })
    .await;
    assert_eq!(open(&registry, "dialed", "append"), 0.0);
    assert_eq!(open(&bob.registry, "dialed", "control"), 0.0);
    drop(responses);
    assert_eq!(open(&registry, "dialed", "control"), 1.0, "half is held");
    drop(requests);
    assert_eq!(open(&registry, "dialed", "control"), 0.0);
    eventually("the other end sees it", || bob.links_open() == 0).await;
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let bob = Node::bob(Echo).await;
    let mut link = open(ALICE, bob.address()).await.unwrap();
    let text = "x".repeat(FRAME_SIZE_MAX - 64);
    assert!(ask(&mut link, &text).await == text);
    assert_eq!(ask(&mut link, "and small ones").await, "and small ones");
}

#[tokio::test]
async fn a_node_of_another_wire_version_gets_both_versions() {
    let bob = Node::bob(Echo).await;
    let mut stream = tls(ALICE, bob.address()).await;
    let hello = Hello {
        versions: 2..=2,
        ..hello(StreamKind::Append)
    };
    stream.write_all(&frame(&encoded(&hello))).await.unwrap();
    let (bytes, _) = rest(&mut stream).await;
    let greeting = Greeting::parse(&bytes[4..]).unwrap();
    let Greeting::Rejected(reason) = greeting else {
        panic!("version 2 is welcome")
    };
    let expected = "wire version 1 and this node speaks 2: run versions";
    assert!(reason.contains(expected), "{reason}");
    assert_eq!(bob.handshakes("wire_version"), 1);
    bob.expect_alive().await;
}

#[tokio::test]
async fn a_node_with_later_versions_is_welcomed_in_a_common_one() {
    let bob = Node::bob(Echo).await;
    let mut stream = tls(ALICE, bob.address()).await;
    let hello = Hello {
        versions: 1..=9,
        ..hello(StreamKind::Append)
    };
    // With something that only later versions know.
    let mut hello = encoded(&hello);
    hello.extend([7; 20]);
    stream.write_all(&frame(&hello)).await.unwrap();
    let welcome = frame(&encoded(&WELCOME));
    let mut greeting = vec![0; welcome.len()];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, welcome);
    // A request with longer metadata than ours, and its response.
    let request = [encoded(&numbered(5, "grown")), vec![1; 50]].concat();
    stream.write_all(&frame(&request)).await.unwrap();
    let expected = frame(&encoded(&echo(numbered(5, "grown"))));
    let mut response = vec![0; expected.len()];
    stream.read_exact(&mut response).await.unwrap();
    assert_eq!(response, expected);
}

#[tokio::test]
async fn a_welcome_in_a_version_that_was_not_offered_is_rejected() {
    let welcome = Greeting::Welcome {
        version: 4,
        stated: STATED,
    };
    let address = fake_bob(frame(&encoded(&welcome))).await;
    let text = text(open(ALICE, address).await.err().unwrap());
    assert!(text.contains("wire version 4"), "{text}");
}

#[tokio::test]
async fn a_rejection_reaches_the_node_that_dialed() {
    let rejection = Greeting::Rejected("for a reason of a later version".to_owned());
    let address = fake_bob(frame(&encoded(&rejection))).await;
    let text = text(open(ALICE, address).await.err().unwrap());
    let expected = format!(
        "peer {} at {address}: it rejected the link: for a reason of a later version",
        id(BOB)
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_link_whose_server_goes_away_ends_with_an_error() {
    let bob = Node::bob(Echo).await;
    let address = bob.address();
    let mut link = open(ALICE, address).await.unwrap();
    assert_eq!(ask(&mut link, "one").await, "one");
    bob.server.shutdown().await;
    let error = next(&mut link).await.unwrap().unwrap_err();
    let LinkError::Closed(text) = error else {
        panic!("the server closed it: {error}")
    };
    assert!(text.contains("closed the link"), "{text}");
    assert!(text.contains(&address.to_string()), "{text}");
    assert!(next(&mut link).await.is_none(), "nothing comes after it");

    let text = crate::test_nodes::text(open(ALICE, address).await.err().unwrap());
    assert!(text.contains("it cannot be reached"), "{text}");
}

#[tokio::test]
async fn a_dropped_server_ends_its_links_too() {
    let bob = Node::bob(Echo).await;
    let mut link = open(ALICE, bob.address()).await.unwrap();
    drop(bob.server);
    next(&mut link).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn shutdown_answers_what_was_read_and_frees_the_address() {
    let (read, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = {
        let (read, go_on) = (read.clone(), go_on.clone());
        Serve(move |requests| {
            let (read, go_on) = (read.clone(), go_on.clone());
            crate::test_nodes::read(requests)
                .then(move |request| {
                    let (read, go_on) = (read.clone(), go_on.clone());
                    async move {
                        read.notify_one();
                        go_on.notified().await;
                        echo(request)
                    }
                })
                .boxed()
        })
    };
    let config = LinkServerConfig {
        drain_timeout: TIMEOUT,
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, service).await;
    let address = bob.address();
    let mut link = open(ALICE, address).await.unwrap();
    link.requests.send(request("in flight")).await.unwrap();
    read.notified().await;

    let shutdown = tokio::spawn(bob.server.shutdown());
    eventually("the address is free", || {
        std::net::TcpListener::bind(address).is_ok()
    })
    .await;
    go_on.notify_one();
    assert_eq!(receive(&mut link).await, "in flight");
    next(&mut link).await.unwrap().unwrap_err();
    timeout(TIMEOUT, shutdown).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_cuts_off_a_service_that_hangs() {
    let service = Serve(|requests| read(requests).then(|_| std::future::pending()).boxed());
    let config = LinkServerConfig {
        drain_timeout: Duration::from_millis(10),
        ..LinkServerConfig::default()
    };
    let bob = Node::bob_with(config, service).await;
    let mut link = open(ALICE, bob.address()).await.unwrap();
    link.requests.send(request("for ever")).await.unwrap();
    let mut silent = TcpStream::connect(bob.address()).await.unwrap();
    timeout(TIMEOUT, bob.server.shutdown()).await.unwrap();
    next(&mut link).await.unwrap().unwrap_err();
    let (bytes, _) = rest(&mut silent).await;
    assert!(bytes.is_empty());
}

#[tokio::test]
async fn a_name_goes_through_the_resolver_of_the_system() {
    let bob = Node::bob(Echo).await;
    let address = format!("localhost:{}", bob.address().port());
    let opened = transport(ALICE).open(
        id(BOB),
        address,
        StreamKind::Forward,
        Box::new(introduction),
    );
    let mut link = opened.await.map_err(text).unwrap();
    assert_eq!(ask(&mut link, "found").await, "found");
}

#[tokio::test]
async fn an_invalid_address_is_named() {
    let nowhere = "no-port".to_owned();
    let opened =
        transport(ALICE).open(id(BOB), nowhere, StreamKind::Append, Box::new(introduction));
    let text = text(opened.await.err().unwrap());
    assert!(text.contains("at no-port"), "{text}");
    assert!(text.contains("cannot be resolved"), "{text}");
}

#[tokio::test]
async fn a_service_learns_which_end_closed_a_link() {
    let (ends, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let service = Serve(move |requests: Requests| {
        let ends = ends.clone();
        requests
            .map(Some)
            .chain(stream::iter([None]))
            .filter_map(move |request| {
                let closed = matches!(request, Some(Err(LinkError::Closed(_))));
                let own = request.is_none();
                if closed || own {
                    ends.send(closed).unwrap();
                }
                std::future::ready(None)
            })
            .boxed()
    });
    let bob = Node::bob(service).await;
    let link = open(ALICE, bob.address()).await.unwrap();
    drop(link);
    let first = timeout(TIMEOUT, ended.recv()).await.unwrap();
    assert_eq!(first, Some(true), "Alice closed it");
    assert_eq!(ended.recv().await, Some(false), "and then it ended");

    let _link = open(ALICE, bob.address()).await.unwrap();
    bob.server.shutdown().await;
    let own = timeout(TIMEOUT, ended.recv()).await.unwrap();
    assert_eq!(own, Some(false), "Bob closed it");
}

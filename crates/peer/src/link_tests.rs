//! Links between nodes that mean well, over loopback.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt, stream, stream::BoxStream};
use prometheus::{Registry, proto::Metric};
use quorate_rpc::{
    Lane, Link, LinkError, Transport,
    message::{Request, Response, WIRE_VERSION},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};

use crate::{
    ClusterId, Credentials, FRAME_SIZE_MAX, LinkServerConfig, Metrics, PeerTransport,
    TransportConfig,
    greeting::{Greeting, Hello, Rejection},
    test_nodes::*,
};

#[tokio::test]
async fn requests_are_answered_in_order() {
    let bob = Node::bob(Echo).await;
    let link = open(ALICE, bob.address()).await.unwrap();
    let Link {
        mut requests,
        mut responses,
    } = link;
    let sending = async {
        for number in 0..500 {
            requests.feed(request(&number.to_string())).await.unwrap();
        }
        requests.flush().await.unwrap();
    };
    let hearing = async {
        for number in 0..500 {
            let response = responses.next().await.unwrap().unwrap();
            assert_eq!(response, Response::Failed(number.to_string()));
        }
    };
    timeout(TIMEOUT, async { tokio::join!(sending, hearing) })
        .await
        .unwrap();
}

#[tokio::test]
async fn requests_do_not_wait_for_earlier_responses() {
    // Answers nothing before it has ten requests.
    let service = Serve(|requests: BoxStream<'static, Request>| {
        requests
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
        assert_eq!(hear(&mut link).await, number.to_string());
    }
}

#[tokio::test]
async fn a_link_counts_as_open_at_both_ends_while_it_lives() {
    let bob = Node::bob(Echo).await;
    let registry = Registry::new();
    let alice = PeerTransport::new(
        credentials(ALICE),
        TransportConfig::new(BTreeMap::new()),
        Metrics::register(&registry).unwrap(),
    );
    let open = |registry: &Registry, direction: &str, lane: &str| {
        let wanted = |metric: &Metric| {
            let labels = metric.get_label();
            labels[0].value() == direction && labels[1].value() == lane
        };
        let value = |metric: &Metric| metric.get_gauge().get_value();
        figure(registry, "quorate_peer_links_open", wanted, value)
    };
    let opened = alice.open(id(BOB), bob.address().to_string(), Lane::Control);
    let Link {
        requests,
        responses,
    } = opened.await.map_err(|e| e.0).unwrap();
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
    let text = "x".repeat(FRAME_SIZE_MAX - 16);
    assert!(ask(&mut link, &text).await == text);
    assert_eq!(ask(&mut link, "and small ones").await, "and small ones");
}

#[tokio::test]
async fn a_node_that_is_not_admitted_is_told_to_be_added() {
    let bob = Node::bob(Echo).await;
    let LinkError(text) = open(MALLORY, bob.address()).await.err().unwrap();
    assert!(text.contains("does not know this node's key"), "{text}");
    assert!(text.contains(&id(BOB).to_string()), "{text}");
    assert!(text.contains(&bob.address().to_string()), "{text}");
}

#[tokio::test]
async fn another_node_at_the_address_is_named() {
    let bob = Node::bob(Echo).await;
    let address = bob.address().to_string();
    let opened = transport(ALICE).open(id(MALLORY), address, Lane::Append);
    let LinkError(text) = opened.await.err().unwrap();
    let expected = format!("another node is there: {}", id(BOB));
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_node_of_another_cluster_is_told_so() {
    let bob = Node::bob(Echo).await;
    let alice = PeerTransport::new(
        Credentials {
            cluster: ClusterId([8; 32]),
            ..credentials(ALICE)
        },
        TransportConfig::new(BTreeMap::new()),
        Metrics::register(&Registry::new()).unwrap(),
    );
    let opened = alice.open(id(BOB), bob.address().to_string(), Lane::Control);
    let LinkError(text) = opened.await.err().unwrap();
    assert!(text.contains("it belongs to another cluster"), "{text}");
    assert!(text.contains(&id(BOB).to_string()), "{text}");
    assert!(text.contains(&bob.address().to_string()), "{text}");
    assert_eq!(bob.handshakes("cluster"), 1);
}

#[tokio::test]
async fn a_node_of_another_wire_version_is_told_both() {
    let bob = Node::bob(Echo).await;
    let mut stream = tls(ALICE, bob.address()).await;
    let hello = Hello {
        wire_version: 9,
        ..Hello::new(HOME, Lane::Append)
    };
    let hello = frame(&postcard::to_stdvec(&hello).unwrap());
    stream.write_all(&hello).await.unwrap();
    let (bytes, _) = rest(&mut stream).await;
    let greeting = postcard::from_bytes(&bytes[4..]).unwrap();
    let Greeting::Refused(reason) = greeting else {
        panic!("version 9 is welcome")
    };
    assert_eq!(reason, Rejection::WireVersion(9).to_string());
    assert!(reason.contains(&format!(
        "wire version {WIRE_VERSION} and this node speaks 9"
    )));
    assert_eq!(bob.handshakes("wire_version"), 1);
    bob.expect_alive().await;
}

#[tokio::test]
async fn a_refusal_reaches_the_node_that_dialed() {
    let refused = Greeting::Refused("for a reason of a later version".to_owned());
    let address = fake_bob(frame(&postcard::to_stdvec(&refused).unwrap())).await;
    let LinkError(text) = open(ALICE, address).await.err().unwrap();
    let expected = format!(
        "peer {} at {address}: it refused the link: for a reason of a later version",
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
    let LinkError(text) = next(&mut link).await.unwrap().unwrap_err();
    assert!(text.contains("closed the link"), "{text}");
    assert!(text.contains(&address.to_string()), "{text}");
    assert!(next(&mut link).await.is_none(), "nothing comes after it");

    let LinkError(text) = open(ALICE, address).await.err().unwrap();
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
        Serve(move |requests: BoxStream<'static, Request>| {
            let (read, go_on) = (read.clone(), go_on.clone());
            requests
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
    assert_eq!(hear(&mut link).await, "in flight");
    next(&mut link).await.unwrap().unwrap_err();
    timeout(TIMEOUT, shutdown).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_cuts_off_a_service_that_hangs() {
    let service = Serve(|requests: BoxStream<'static, Request>| {
        requests.then(|_| std::future::pending()).boxed()
    });
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
async fn a_configured_address_goes_before_that_of_the_membership() {
    let bob = Node::bob(Echo).await;
    let port = bob.address().port();
    let alice = PeerTransport::new(
        credentials(ALICE),
        // A name, which goes through the system's resolver.
        TransportConfig::new(BTreeMap::from([(id(BOB), format!("localhost:{port}"))])),
        Metrics::register(&Registry::new()).unwrap(),
    );
    let nowhere = "127.0.0.1:1".to_owned();
    let mut link = alice
        .open(id(BOB), nowhere, Lane::Forward)
        .await
        .map_err(|error| error.0)
        .unwrap();
    assert_eq!(ask(&mut link, "found").await, "found");
}

#[tokio::test]
async fn an_address_that_is_none_is_named() {
    let opened = transport(ALICE).open(id(BOB), "no-port".to_owned(), Lane::Append);
    let LinkError(text) = opened.await.err().unwrap();
    assert!(text.contains("at no-port"), "{text}");
    assert!(text.contains("cannot be resolved"), "{text}");
}

#[tokio::test]
async fn a_dial_outlives_a_caller_that_gives_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let alice = transport(ALICE);
    let hello_read = Arc::new(Notify::new());
    let greet = Arc::new(Notify::new());
    let bob = {
        let (hello_read, greet) = (hello_read.clone(), greet.clone());
        tokio::spawn(async move {
            let mut stream = accept_as_bob(&listener).await;
            hello_read.notify_one();
            greet.notified().await;
            stream.write_all(&[0, 0, 0, 1, 0]).await.unwrap();
            (stream, listener)
        })
    };
    // A caller that leaves when the hello is out.
    tokio::select! {
        _ = alice.open(id(BOB), address.clone(), Lane::Control) => panic!("nobody has greeted"),
        () = hello_read.notified() => {}
    }
    greet.notify_one();
    // The next one gets that very connection: nobody accepts another.
    let opened = alice.open(id(BOB), address, Lane::Control);
    timeout(TIMEOUT, opened)
        .await
        .unwrap()
        .map_err(|e| e.0)
        .unwrap();
    drop(bob.await.unwrap());
}

#[tokio::test]
async fn a_dial_to_a_former_address_is_not_waited_for() {
    // Accepts in the kernel and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bob = Node::bob(Echo).await;
    let alice = transport(ALICE);
    let former = silent.local_addr().unwrap().to_string();
    tokio::select! {
        _ = alice.open(id(BOB), former, Lane::Append) => panic!("nobody answers there"),
        accepted = silent.accept() => drop(accepted.unwrap().1),
    }
    let opened = alice.open(id(BOB), bob.address().to_string(), Lane::Append);
    let mut link = opened.await.map_err(|e| e.0).unwrap();
    assert_eq!(ask(&mut link, "moved").await, "moved");
}

#[tokio::test]
async fn a_link_nobody_takes_over_ends_with_the_transport() {
    let bob = Node::bob(Echo).await;
    let alice = transport(ALICE);
    let opened = alice.open(id(BOB), bob.address().to_string(), Lane::Control);
    assert!(opened.now_or_never().is_none(), "the dial has only begun");
    eventually("the dial goes on", || bob.links_open() == 1).await;
    drop(alice);
    eventually("the link is closed", || bob.links_open() == 0).await;
}

#[tokio::test]
async fn a_failure_of_an_abandoned_dial_is_not_handed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    let alice = PeerTransport::new(
        credentials(ALICE),
        TransportConfig::new(BTreeMap::new()),
        Metrics::register(&registry).unwrap(),
    );
    // The caller leaves, then the node that was dialed goes away.
    let stream = tokio::select! {
        _ = alice.open(id(BOB), address.to_string(), Lane::Control) => panic!("nobody has greeted"),
        stream = accept_as_bob(&listener) => stream,
    };
    drop((stream, listener));
    let failures = || {
        let value = |metric: &Metric| metric.get_counter().get_value();
        figure(
            &registry,
            "quorate_peer_dial_failures_total",
            |_| true,
            value,
        )
    };
    eventually("the dial has failed", || failures() == 1.0).await;
    // It is back when the next caller comes.
    let _bob = Node::bob_at(address, LinkServerConfig::default(), Echo).await;
    let opened = alice.open(id(BOB), address.to_string(), Lane::Control);
    let mut link = opened.await.map_err(|e| e.0).unwrap();
    assert_eq!(ask(&mut link, "back").await, "back");
}

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::*;

/// What does not arrive within this time was not in flight.
const SILENCE: Duration = Duration::from_millis(300);

/// A connection through a proxy, the dialer's end first, and its faults.
struct Through {
    dialer: TcpStream,
    dialed: TcpStream,
    forth: Arc<Flow>,
    back: Arc<Flow>,
    address: SocketAddr,
}

impl Through {
    async fn open() -> Self {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = LinkProxy {
            address: ports::take_address(),
            target: target.local_addr().unwrap(),
            forth: Flow::new(),
            back: Flow::new(),
        };
        let (forth, back, address) = (proxy.forth.clone(), proxy.back.clone(), proxy.address);
        tokio::spawn(proxy.run());
        let dialer = loop {
            match TcpStream::connect(address).await {
                Ok(dialer) => break dialer,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let (dialed, _) = target.accept().await.unwrap();
        Self {
            dialer,
            dialed,
            forth,
            back,
            address,
        }
    }
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, text.as_bytes());
}

async fn expect_silence(stream: &mut TcpStream) {
    let received = timeout(SILENCE, stream.read_u8()).await;
    assert!(received.is_err(), "{received:?}");
}

#[tokio::test]
async fn a_whole_link_carries_bytes_and_the_end_both_ways() {
    let mut link = Through::open().await;
    link.dialer.write_all(b"there").await.unwrap();
    expect(&mut link.dialed, "there").await;
    link.dialed.write_all(b"and back").await.unwrap();
    link.dialed.shutdown().await.unwrap();
    expect(&mut link.dialer, "and back").await;
    assert_eq!(link.dialer.read(&mut [0]).await.unwrap(), 0);
    link.dialer.write_all(b"still").await.unwrap();
    expect(&mut link.dialed, "still").await;
}

#[tokio::test]
async fn a_direction_is_cut_and_the_other_is_not() {
    for dialer_is_cut in [true, false] {
        let mut link = Through::open().await;
        if !dialer_is_cut {
            std::mem::swap(&mut link.dialer, &mut link.dialed);
            std::mem::swap(&mut link.forth, &mut link.back);
        }
        link.forth.condition.send_replace(Condition::Lost);
        link.dialer.write_all(b"lost").await.unwrap();
        expect_silence(&mut link.dialed).await;
        link.dialed.write_all(b"received").await.unwrap();
        expect(&mut link.dialer, "received").await;

        link.forth.condition.send_replace(Condition::Normal);
        assert!(link.dialed.read_u8().await.is_err(), "bytes are missing");
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_lost_with_the_bytes() {
    let mut link = Through::open().await;
    link.forth.condition.send_replace(Condition::Lost);
    drop(link.dialer);
    expect_silence(&mut link.dialed).await;
    link.forth.condition.send_replace(Condition::Normal);
    assert!(link.dialed.read_u8().await.is_err());
}

#[tokio::test]
async fn held_messages_arrive_when_the_link_is_healed() {
    let mut link = Through::open().await;
    link.forth.condition.send_replace(Condition::Delayed);
    link.dialer.write_all(b"late").await.unwrap();
    expect_silence(&mut link.dialed).await;
    link.forth.condition.send_replace(Condition::Normal);
    expect(&mut link.dialed, "late").await;
    link.dialer.write_all(b"later").await.unwrap();
    expect(&mut link.dialed, "later").await;
}

#[tokio::test]
async fn a_link_that_refuses_can_be_dialed_when_it_is_healed() {
    let mut link = Through::open().await;
    link.back.condition.send_replace(Condition::Refused);
    assert!(link.dialer.read_u8().await.is_err(), "it has ended");
    while TcpStream::connect(link.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    link.back.condition.send_replace(Condition::Normal);
    while TcpStream::connect(link.address).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_slow_link_has_latency_and_limited_bandwidth_and_pipelines() {
    let delay = Duration::from_millis(100);
    let mut link = Through::open().await;
    link.forth.condition.send_replace(Condition::Slow {
        delay,
        bytes_per_sec: 100_000,
    });
    let started = Instant::now();
    for _ in 0..10 {
        link.dialer.write_all(&[1]).await.unwrap();
        tokio::task::yield_now().await;
    }
    link.dialed.read_exact(&mut [0; 10]).await.unwrap();
    let alone = started.elapsed();
    assert!((delay..9 * delay).contains(&alone), "{alone:?}");

    link.dialer.write_all(&[1; 50_000]).await.unwrap();
    link.dialed.read_exact(&mut [0; 50_000]).await.unwrap();
    let all = started.elapsed();
    assert!(all >= delay + Duration::from_millis(500), "{all:?}");
}

use std::io;

use quorate_metrics::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::*;
use crate::listener::ConnectionLimits;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// Sends `hello` and waits for `finish`. If it is polite, it also ends at a stop.
struct Greeter {
    polite: bool,
    finish: Arc<Notify>,
}

impl Protocol for Greeter {
    async fn serve(
        self: Arc<Self>,
        mut stream: TcpStream,
        _place: ConnectionSlot,
        stop: CancellationToken,
    ) {
        stream.write_all(b"hello").await.unwrap();
        tokio::select! {
            () = self.finish.notified() => {}
            () = stop.cancelled(), if self.polite => stream.write_all(b" and bye").await.unwrap(),
        }
    }

    async fn refuse(self: Arc<Self>, mut stream: TcpStream) {
        stream.write_all(b"full").await.unwrap();
    }
}

struct Fixture {
    server: ListenerServer,
    metrics: ListenerMetrics,
    finish: Arc<Notify>,
}

async fn serve(polite: bool, limits: ConnectionLimits) -> Fixture {
    let listener = Listener::bind("tests", ([127, 0, 0, 1], 0).into()).unwrap();
    let metrics = ListenerMetrics::register(&Registry::new()).unwrap();
    let finish = Arc::new(Notify::new());
    let greeter = Greeter {
        polite,
        finish: finish.clone(),
    };
    Fixture {
        server: listener.serve(
            Arc::new(greeter),
            &Connections::new(limits),
            ListenerName::Dns,
            &metrics,
        ),
        metrics,
        finish,
    }
}

fn limits(connection_count_max: usize, drain_timeout: Duration) -> ConnectionLimits {
    ConnectionLimits {
        connection_count_max,
        connection_count_per_client_max: None,
        drain_timeout,
    }
}

impl Fixture {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.local_addr()).await.unwrap()
    }

    async fn connect_and_greet(&self) -> TcpStream {
        let mut stream = self.connect().await;
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
        stream
    }
}

async fn rest(mut stream: TcpStream) -> io::Result<String> {
    let mut text = String::new();
    timeout(LONG, stream.read_to_string(&mut text))
        .await
        .expect("the connection is closed")?;
    Ok(text)
}

#[tokio::test]
async fn a_connection_over_the_limit_is_rejected_until_another_ends() {
    let fixture = serve(true, limits(1, LONG)).await;
    let first = fixture.connect_and_greet().await;
    assert_eq!(
        fixture.metrics.connections_open.of(ListenerName::Dns).get(),
        1
    );
    assert_eq!(rest(fixture.connect().await).await.unwrap(), "full");
    let rejected = &fixture.metrics.connections_refused_total;
    assert_eq!(rejected.of(ListenerName::Dns).get(), 1);
    assert_eq!(rejected.of(ListenerName::Admin).get(), 0);

    fixture.finish.notify_one();
    assert_eq!(rest(first).await.unwrap(), "");
    // The slot is released shortly after the connection is closed.
    let served = async {
        loop {
            let mut stream = fixture.connect().await;
            let mut begin = [0; 4];
            stream.read_exact(&mut begin).await.unwrap();
            if &begin == b"hell" {
                return;
            }
        }
    };
    timeout(LONG, served)
        .await
        .expect("a connection is admitted again");
}

/// An evicted connection is closed, whatever its protocol does.
#[tokio::test]
async fn a_client_that_keeps_connecting_only_evicts_its_own_connections() {
    let limits = ConnectionLimits {
        connection_count_per_client_max: Some(2),
        ..limits(8, LONG)
    };
    let fixture = serve(false, limits).await;
    let first = fixture.connect_and_greet().await;
    let _second = fixture.connect_and_greet().await;
    let _third = fixture.connect_and_greet().await;
    assert_eq!(rest(first).await.unwrap(), "");
    let metrics = &fixture.metrics;
    assert_eq!(
        metrics
            .connections_evicted_total
            .of(ListenerName::Dns)
            .get(),
        1
    );
    assert_eq!(
        metrics
            .connections_refused_total
            .of(ListenerName::Dns)
            .get(),
        0
    );
}

#[tokio::test]
async fn a_stop_frees_the_address_and_lets_connections_end() {
    let fixture = serve(true, limits(8, LONG)).await;
    let address = fixture.server.local_addr();
    let open = fixture.connect_and_greet().await;
    fixture.server.shutdown().await;
    assert_eq!(rest(open).await.unwrap(), " and bye");
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(
        fixture.metrics.connections_open.of(ListenerName::Dns).get(),
        0
    );
}

#[tokio::test]
async fn a_connection_that_does_not_end_is_cut_off() {
    let fixture = serve(false, limits(8, Duration::from_millis(10))).await;
    let open = fixture.connect_and_greet().await;
    timeout(LONG, fixture.server.shutdown()).await.unwrap();
    assert_eq!(rest(open).await.unwrap(), "");
}

#[tokio::test]
async fn a_server_that_is_dropped_stops() {
    let fixture = serve(true, limits(8, LONG)).await;
    let open = fixture.connect_and_greet().await;
    drop(fixture.server);
    assert_eq!(rest(open).await.unwrap(), " and bye");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = Listener::bind("tests", ([127, 0, 0, 1], 0).into()).unwrap();
    let address = taken.local_addr();
    let error = Listener::bind("tests", address).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen for tests at {address}: free the address or configure another one")
    );
}

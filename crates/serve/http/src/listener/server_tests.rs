use std::io;

use quorate_metrics::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::*;
use crate::listener::Limits;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// Says `hello`, and waits until it is let go, or, if it is polite, until a stop.
struct Greeter {
    polite: bool,
    let_go: Arc<Notify>,
}

impl Protocol for Greeter {
    async fn serve(self: Arc<Self>, mut stream: TcpStream, _place: Place, stop: CancellationToken) {
        stream.write_all(b"hello").await.unwrap();
        tokio::select! {
            () = self.let_go.notified() => {}
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
    let_go: Arc<Notify>,
}

async fn serve(polite: bool, limits: Limits) -> Fixture {
    let listener = Listener::bind("tests", ([127, 0, 0, 1], 0).into()).unwrap();
    let metrics = ListenerMetrics::register(&Registry::new()).unwrap();
    let let_go = Arc::new(Notify::new());
    let greeter = Greeter {
        polite,
        let_go: let_go.clone(),
    };
    Fixture {
        server: listener.serve(
            Arc::new(greeter),
            &Connections::new(limits),
            Name::Dns,
            &metrics,
        ),
        metrics,
        let_go,
    }
}

fn limits(connection_count_max: usize, drain_timeout: Duration) -> Limits {
    Limits {
        connection_count_max,
        connection_count_per_client_max: None,
        drain_timeout,
    }
}

impl Fixture {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.local_addr()).await.unwrap()
    }

    async fn greeted(&self) -> TcpStream {
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
async fn a_connection_over_the_cap_is_refused_and_room_comes_back() {
    let fixture = serve(true, limits(1, LONG)).await;
    let first = fixture.greeted().await;
    assert_eq!(fixture.metrics.connections_open.of(Name::Dns).get(), 1);
    assert_eq!(rest(fixture.connect().await).await.unwrap(), "full");
    let refused = &fixture.metrics.connections_refused_total;
    assert_eq!(refused.of(Name::Dns).get(), 1);
    assert_eq!(refused.of(Name::Admin).get(), 0);

    fixture.let_go.notify_one();
    assert_eq!(rest(first).await.unwrap(), "");
    // The permit is given back a moment after the connection was closed.
    let served = async {
        loop {
            let mut stream = fixture.connect().await;
            let mut said = [0; 4];
            stream.read_exact(&mut said).await.unwrap();
            if &said == b"hell" {
                return;
            }
        }
    };
    timeout(LONG, served).await.expect("there is room again");
}

/// A connection that gives way is cut, whatever its protocol does.
#[tokio::test]
async fn a_client_that_comes_again_and_again_shuts_out_only_itself() {
    let limits = Limits {
        connection_count_per_client_max: Some(2),
        ..limits(8, LONG)
    };
    let fixture = serve(false, limits).await;
    let first = fixture.greeted().await;
    let _second = fixture.greeted().await;
    let _third = fixture.greeted().await;
    assert_eq!(rest(first).await.unwrap(), "");
    let metrics = &fixture.metrics;
    assert_eq!(metrics.connections_evicted_total.of(Name::Dns).get(), 1);
    assert_eq!(metrics.connections_refused_total.of(Name::Dns).get(), 0);
}

#[tokio::test]
async fn a_stop_frees_the_address_and_lets_connections_end() {
    let fixture = serve(true, limits(8, LONG)).await;
    let address = fixture.server.local_addr();
    let open = fixture.greeted().await;
    fixture.server.shutdown().await;
    assert_eq!(rest(open).await.unwrap(), " and bye");
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(fixture.metrics.connections_open.of(Name::Dns).get(), 0);
}

#[tokio::test]
async fn a_connection_that_does_not_end_is_cut_off() {
    let fixture = serve(false, limits(8, Duration::from_millis(10))).await;
    let open = fixture.greeted().await;
    timeout(LONG, fixture.server.shutdown()).await.unwrap();
    assert_eq!(rest(open).await.unwrap(), "");
}

#[tokio::test]
async fn a_server_that_is_dropped_stops() {
    let fixture = serve(true, limits(8, LONG)).await;
    let open = fixture.greeted().await;
    drop(fixture.server);
    assert_eq!(rest(open).await.unwrap(), " and bye");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = Listener::bind("tests", ([127, 0, 0, 1], 0).into()).unwrap();
    let address = taken.local_addr();
    let error = Listener::bind("tests", address).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen for tests at {address}: free the address or configure another one")
    );
}

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const STORED: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// A server that answers every connection with these bytes, one piece for each read.
async fn server(connections: Vec<Vec<&'static [u8]>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for pieces in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            for piece in pieces {
                assert_ne!(stream.read(&mut request).await.unwrap(), 0);
                stream.write_all(piece).await.unwrap();
            }
        }
    });
    address
}

async fn exchange(connection: &mut Connection) -> anyhow::Result<(u16, Bytes)> {
    let request = Request::get("/").body(Full::default()).unwrap();
    let answer = connection.exchange(request).await?;
    Ok((answer.status().as_u16(), answer.into_body()))
}

#[tokio::test]
async fn one_connection_carries_many_exchanges() {
    let found = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
    let address = server(vec![vec![STORED, found, STORED]]).await;
    let mut connection = Connection::open(address).await.unwrap();
    for (status, body) in [(204, ""), (200, "body"), (204, "")] {
        assert_eq!(
            exchange(&mut connection).await.unwrap(),
            (status, body.into())
        );
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_no_error() {
    let last = b"HTTP/1.1 503 Busy\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n";
    let address = server(vec![vec![last], vec![STORED]]).await;
    let mut connection = Connection::open(address).await.unwrap();
    assert_eq!(exchange(&mut connection).await.unwrap().0, 503);
    assert_eq!(exchange(&mut connection).await.unwrap().0, 204);
}

#[tokio::test]
async fn an_answer_that_is_cut_is_an_error_once() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nbody";
    let address = server(vec![vec![cut], vec![STORED]]).await;
    let mut connection = Connection::open(address).await.unwrap();
    exchange(&mut connection).await.unwrap_err();
    assert_eq!(exchange(&mut connection).await.unwrap().0, 204);
}

#[tokio::test]
async fn unreadable_values_are_errors() {
    let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    for answer in [&b"SSH-2.0\r\n\r\n"[..], b"HTTP/1.1 2\r\n\r\n", endless] {
        let address = server(vec![vec![answer]]).await;
        let mut connection = Connection::open(address).await.unwrap();
        exchange(&mut connection).await.unwrap_err();
    }
}

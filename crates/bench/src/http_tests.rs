use tokio::net::TcpListener;

use super::*;

fn head(status: u16, size: usize, body_size: usize) -> Head {
    Head {
        status,
        size,
        body_size,
        closes: false,
    }
}

#[test]
fn a_head_gives_status_and_length() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  250 \r\nETag: \"a:b\"\r\n\r\nbody";
    let parsed = Head::parse(bytes).unwrap();
    assert_eq!(parsed, Some(head(200, bytes.len() - 4, 250)));
}

#[test]
fn an_unfinished_head_is_waited_for() {
    let bytes = b"HTTP/1.1 204 No Content\r\n\r\n";
    for size in 0..bytes.len() {
        assert_eq!(Head::parse(&bytes[..size]), Ok(None), "{size} bytes");
    }
    assert_eq!(Head::parse(bytes), Ok(Some(head(204, bytes.len(), 0))));
}

#[test]
fn a_close_is_seen() {
    let bytes = b"HTTP/1.1 503 Busy\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n";
    assert!(Head::parse(bytes).unwrap().unwrap().closes);
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let without_length = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(Head::parse(without_length), Err(HeadError::Length));
    for bytes in [&b"SSH-2.0\r\n\r\n"[..], b"HTTP/1.1 2\r\n\r\n", b"\r\n\r\n"] {
        assert_eq!(Head::parse(bytes), Err(HeadError::StatusLine));
    }
    let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(Head::parse(endless), Err(HeadError::TooLong));
}

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

#[tokio::test]
async fn one_connection_carries_many_exchanges() {
    let stored = b"HTTP/1.1 204 No Content\r\n\r\n";
    let found = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
    let address = server(vec![vec![stored, found, stored]]).await;
    let mut connection = Connection::open(address).await.unwrap();
    assert_eq!(connection.exchange(b"a").await.unwrap(), 204);
    assert_eq!(connection.exchange(b"b").await.unwrap(), 200);
    assert_eq!(connection.body(), b"body");
    assert_eq!(connection.exchange(b"c").await.unwrap(), 204);
    assert_eq!(connection.body(), b"");
}

#[tokio::test]
async fn a_closed_connection_is_an_error_once() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nbody";
    let whole = b"HTTP/1.1 204 No Content\r\n\r\n";
    let address = server(vec![vec![cut], vec![whole]]).await;
    let mut connection = Connection::open(address).await.unwrap();
    let error = connection.exchange(b"a").await.unwrap_err();
    assert!(matches!(error, HttpError::Closed | HttpError::Io(_)));
    assert_eq!(connection.exchange(b"b").await.unwrap(), 204);
}

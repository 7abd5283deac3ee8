//! A node of the DHT that answers what a test tells it to (BEP 5, BEP 44).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use mainline::MutableItem;
use tokio::{net::UdpSocket, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// What a node answers to questions for a value.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// It has none.
    Empty,
    /// This value, after this time. Nobody checks it.
    Value(MutableItem, Duration),
    /// Nothing at all.
    Silent,
    /// A node that is invented, and nearer to the target each time.
    Nearer,
}

pub(crate) struct TestNode {
    pub(crate) address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl TestNode {
    pub(crate) async fn start(number: u8, behaviour: Behaviour) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(answer_all(Arc::new(socket), [number; 20], behaviour));
        Self {
            address,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

async fn answer_all(socket: Arc<UdpSocket>, id: [u8; 20], behaviour: Behaviour) {
    let (mut buffer, mut asked) = ([0; 2048], 0_u32);
    while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
        let request = &buffer[..size];
        let (Some(transaction), Some(query)) = (text(request, b"1:t"), text(request, b"1:q"))
        else {
            continue;
        };
        asked += 1;
        let (mut values, mut delay) = (Vec::new(), Duration::ZERO);
        match (&behaviour, query) {
            (Behaviour::Silent, b"get") => continue,
            (Behaviour::Value(item, after), b"get") => {
                values = [
                    (&b"k"[..], bytes(item.key())),
                    (b"seq", format!("i{}e", item.seq()).into_bytes()),
                    (b"sig", bytes(item.signature())),
                    (b"v", bytes(item.value())),
                ]
                .into();
                delay = *after;
            }
            (Behaviour::Nearer, b"get") => {
                let mut nearer = text(request, b"6:target").unwrap()[..20].to_vec();
                // As far as the number of questions is small.
                nearer[16..].copy_from_slice(&(u32::MAX - asked).to_be_bytes());
                nearer.extend([127, 0, 0, 1]);
                nearer.extend(address_port(&socket));
                values = vec![(&b"nodes"[..], bytes(&nearer))];
            }
            _ => {}
        }
        if query == b"get" {
            values.push((b"token", bytes(b"abcd")));
        }
        values.push((b"id", bytes(&id)));
        values.sort();
        let values: Vec<u8> = values
            .into_iter()
            .flat_map(|(name, value)| [bytes(name), value].concat())
            .collect();
        let answer = [
            b"d1:rd",
            &values[..],
            b"e1:t",
            &bytes(transaction),
            b"1:y1:re",
        ]
        .concat();
        let socket = socket.clone();
        tokio::spawn(async move {
            sleep(delay).await;
            let _ = socket.send_to(&answer, from).await;
        });
    }
}

fn address_port(socket: &UdpSocket) -> [u8; 2] {
    socket.local_addr().unwrap().port().to_be_bytes()
}

/// The text after a key in bencode.
fn text<'a>(message: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = message.windows(key.len()).position(|part| part == key)?;
    let rest = &message[at + key.len()..];
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let size: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    rest.get(colon + 1..colon + 1 + size)
}

fn bytes(value: &[u8]) -> Vec<u8> {
    [format!("{}:", value.len()).as_bytes(), value].concat()
}

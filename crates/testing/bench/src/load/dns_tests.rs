use std::thread;

use hickory_proto::op::{Message, ResponseCode};

use super::*;

fn decode_answer(query: &[u8], rcode: ResponseCode) -> Vec<u8> {
    let query = Message::from_vec(query).unwrap();
    let mut answer = Message::error_msg(query.metadata.id, query.metadata.op_code, rcode);
    answer.add_queries(query.queries.clone());
    answer.to_vec().unwrap()
}

#[test]
fn answers_are_judged_by_rcode_and_count() {
    let queries = Queries::txt(&["key".to_owned()], "test.").unwrap();
    let query = queries.first();
    let absent = decode_answer(query, ResponseCode::NXDomain);
    assert_eq!(check(&absent, Some(Expect::Absent)), Ok(()));
    assert!(check(&absent, Some(Expect::Found)).is_err());
    let empty = decode_answer(query, ResponseCode::NoError);
    assert!(check(&empty, Some(Expect::Found)).is_err());
    assert!(check(&empty[..11], Some(Expect::Absent)).is_err());
    let mut truncated = absent;
    truncated[2] |= 0x02;
    assert!(check(&truncated, Some(Expect::Absent)).is_err());
    assert_eq!(check(&truncated, None), Ok(()));
}

#[tokio::test]
async fn every_query_is_answered_once() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 512];
        while let Ok((size, from)) = server.recv_from(&mut datagram) {
            let answer = decode_answer(&datagram[..size], ResponseCode::NXDomain);
            // One that nobody waits for, and then the right one.
            let mut stray = answer.clone();
            stray[0] = stray[0].wrapping_add(1);
            server.send_to(&stray, from).unwrap();
            server.send_to(&answer, from).unwrap();
        }
    });
    let shape = Shape {
        sockets: 2,
        window: 3,
    };
    let bounds = Bounds {
        secs: 20,
        count: Some(1000),
    };
    let queries = Queries::txt(&["a".to_owned(), "b".to_owned()], "test.").unwrap();
    let outcome = run(queries, Expect::Absent, address, shape, bounds)
        .await
        .unwrap();
    assert_eq!(outcome.tally.first_error, None);
    assert_eq!(outcome.tally.ok_count(), 1000);
}

#[tokio::test]
async fn silence_is_counted_and_ends() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let shape = Shape {
        sockets: 1,
        window: 4,
    };
    let bounds = Bounds {
        secs: 1,
        count: None,
    };
    let queries = Queries::txt(&["a".to_owned()], "test.").unwrap();
    let address = server.local_addr().unwrap();
    let outcome = run(queries, Expect::Found, address, shape, bounds)
        .await
        .unwrap();
    // Once or twice a second: each window counts as lost as a whole.
    assert!(matches!(outcome.tally.error_count, 4 | 8));
    assert_eq!(outcome.tally.ok_count(), 0);
}

use std::path::PathBuf;

use futures_util::{FutureExt, poll};
use quorate_peer::FrameMetadata;
use quorate_state::{Level, LogIndex};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::PollSender;

use super::*;
use crate::RaftConfig;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A connection whose other end is the test.
struct OtherEnd {
    connection: Arc<Connection>,
    requests: mpsc::Receiver<Frame<Request>>,
    responses: mpsc::UnboundedSender<Result<Frame<Response>, LinkError>>,
    run: JoinHandle<LinkError>,
}

impl OtherEnd {
    /// A connection that accepts this many requests before the other end reads.
    fn new(capacity: usize) -> Self {
        let (sender, requests) = mpsc::channel(capacity);
        let closed = |_| LinkError::Closed("the test is over".to_owned());
        let sink = Box::pin(PollSender::new(sender).sink_map_err(closed));
        let gossip = Arc::new(PeerGossip::new(&RaftConfig {
            level_max: Level(7),
            ..RaftConfig::numbered(2, BTreeMap::new(), PathBuf::new())
        }));
        let connection = Arc::new(Connection::new(peer(), gossip, sink));
        let (responses, stream) = mpsc::unbounded_channel();
        let stream = UnboundedReceiverStream::new(stream).boxed();
        let running = connection.clone();
        Self {
            connection,
            requests,
            responses,
            run: tokio::spawn(async move { running.run(stream, TIMEOUT / 10).await }),
        }
    }

    async fn send(&self) -> Reply {
        let sent = self.connection.send(Request::ReadIndex).await;
        sent.expect("the link takes it")
    }

    async fn read(&mut self) -> Frame<Request> {
        let read = timeout(TIMEOUT, self.requests.recv()).await;
        read.expect("a request comes").expect("the link is open")
    }

    /// Answers the request of this number with its number.
    fn answer(&self, id: u64) {
        let response = Frame {
            id,
            message: Response::ReadIndex(Some(LogIndex(id))),
            metadata: FrameMetadata {
                clock_ms: id,
                ..FrameMetadata::default()
            },
        };
        self.responses.send(Ok(response)).unwrap();
    }

    async fn lost(self) -> LinkError {
        let lost = timeout(TIMEOUT, self.run).await;
        lost.expect("the link is lost").unwrap()
    }
}

fn peer() -> NodeId {
    NodeId::from(1)
}

async fn number(mut reply: Reply) -> u64 {
    match timeout(TIMEOUT, reply.response()).await.unwrap() {
        Ok(Response::ReadIndex(Some(LogIndex(number)))) => number,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn responses_find_their_requests_in_any_order() {
    let mut end = OtherEnd::new(8);
    let mut replies = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..5 {
        replies.push(end.send().await);
        ids.push(end.read().await.id);
    }
    ids.iter().rev().for_each(|id| end.answer(*id));
    for (reply, id) in replies.into_iter().zip(ids) {
        assert_eq!(number(reply).await, id);
    }
}

#[tokio::test]
async fn every_message_carries_its_senders_metadata() {
    let mut end = OtherEnd::new(8);
    let reply = end.send().await;
    let request = end.read().await;
    assert_eq!(request.metadata.level, 7);
    assert!(request.metadata.monotonic_ms > 0);
    end.answer(request.id);
    number(reply).await;
    let last = end.connection.gossip.last_received(peer()).unwrap();
    assert_eq!(
        last.metadata.clock_ms, request.id,
        "the metadata of the response"
    );
}

#[tokio::test]
async fn a_late_response_is_not_mistaken_for_the_next_calls() {
    let mut end = OtherEnd::new(8);
    drop(end.send().await);
    let (late, reply) = (end.read().await.id, end.send().await);
    let id = end.read().await.id;
    end.answer(late);
    end.answer(id);
    end.answer(id + 100);
    assert_eq!(number(reply).await, id);
    assert!(lock(&end.connection.in_flight).pending.is_empty());
}

#[tokio::test]
async fn a_request_dropped_before_the_link_took_it_is_not_in_flight() {
    let mut end = OtherEnd::new(1);
    let first = end.send().await;
    {
        let mut blocked = Box::pin(end.connection.send(Request::ReadIndex));
        assert!(poll!(&mut blocked).is_pending(), "the link is full");
    }
    let first_id = end.read().await.id;
    let second = end.send().await;
    let second_id = end.read().await.id;
    assert_eq!(lock(&end.connection.in_flight).pending.len(), 2);
    end.answer(second_id);
    end.answer(first_id);
    assert_eq!(number(first).await, first_id);
    assert_eq!(number(second).await, second_id);
}

#[tokio::test]
async fn requests_in_flight_when_a_link_is_lost_may_have_arrived_and_later_ones_have_not() {
    let mut end = OtherEnd::new(8);
    let mut reply = end.send().await;
    end.read().await;
    let gone = || LinkError::Closed("gone".to_owned());
    end.responses.send(Err(gone())).unwrap();
    let outcome = timeout(TIMEOUT, reply.response()).await.unwrap();
    assert!(matches!(
        outcome,
        Err(CallError::Lost(LinkError::Closed(_)))
    ));
    let next = end.connection.send(Request::ReadIndex).await;
    assert!(matches!(next, Err(CallError::NotSent(_))));
    assert!(end.requests.try_recv().is_err(), "nothing was sent");
    assert!(matches!(end.lost().await, LinkError::Closed(_)));
}

#[tokio::test]
async fn a_link_that_cannot_be_written_to_is_lost_for_all() {
    let mut end = OtherEnd::new(8);
    let mut earlier = end.send().await;
    end.requests.close();
    end.read().await;
    let failed = end.connection.send(Request::ReadIndex).await;
    assert!(matches!(failed, Err(CallError::NotSent(_))));
    let outcome = timeout(TIMEOUT, earlier.response()).await.unwrap();
    assert!(matches!(outcome, Err(CallError::Lost(_))));
    end.lost().await;
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let mut end = OtherEnd::new(2 * IN_FLIGHT_COUNT_MAX);
    for _ in 0..IN_FLIGHT_COUNT_MAX {
        // No caller waits for them, but they are in flight.
        drop(end.send().await);
    }
    let rejected = end.connection.send(Request::ReadIndex).await;
    assert!(matches!(rejected, Err(CallError::NotSent(_))));
    let id = end.read().await.id;
    end.answer(id);
    let accepted = async {
        while end.connection.send(Request::ReadIndex).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, accepted)
        .await
        .expect("a response frees a place");
}

#[tokio::test]
async fn a_caller_does_not_wait_for_a_link_that_was_lost_while_it_was_full() {
    let end = OtherEnd::new(1);
    let _first = end.send().await;
    let mut blocked = Box::pin(end.connection.send(Request::ReadIndex));
    assert!(poll!(&mut blocked).is_pending());
    let silent = LinkError::Failed("silent".to_owned());
    end.responses.send(Err(silent)).unwrap();
    let outcome = timeout(TIMEOUT, blocked)
        .await
        .expect("the caller gets an error");
    assert!(matches!(outcome, Err(CallError::NotSent(_))));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_nothing_loses_its_link() {
    let end = OtherEnd::new(8);
    let mut reply = end.send().await;
    assert!(reply.response().now_or_never().is_none());
    let LinkError::Failed(reason) = end.lost().await else {
        panic!("nobody closed it")
    };
    assert!(reason.contains("has not answered for 2s"), "{reason}");
    assert!(matches!(reply.response().await, Err(CallError::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn an_idle_link_stays_open() {
    let mut end = OtherEnd::new(8);
    let reply = end.send().await;
    let id = end.read().await.id;
    end.answer(id);
    number(reply).await;
    let lost = timeout(100 * TIMEOUT, &mut end.run).await;
    assert!(lost.is_err(), "{lost:?}");
}

/// A sink must not be polled again after an error. So no caller may reach it between the error of
/// another one and the end of the link.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_wait_while_a_link_is_lost_all_get_an_error() {
    for _ in 0..300 {
        let mut other = OtherEnd::new(1);
        other.send().await;
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let connection = other.connection.clone();
                tokio::spawn(async move { connection.send(Request::ReadIndex).await.is_err() })
            })
            .collect();
        tokio::task::yield_now().await;
        other.requests.close();
        for call in calls {
            assert!(call.await.expect("it does not panic"));
        }
        other
            .connection
            .on_end(&LinkError::Closed("the round is over".to_owned()));
    }
}

use futures_util::FutureExt;
use quorate_packet::PublicKey;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{super::types::Vote, *};

/// A leader's requests on their way to a peer.
struct Held {
    requests: mpsc::UnboundedSender<AppendEntriesRequest<TypeConfig>>,
    sent: BoxStream<'static, AppendEntriesRequest<TypeConfig>>,
}

impl Held {
    fn new() -> Self {
        let (requests, receiver) = mpsc::unbounded_channel();
        let sent = hold_back_commits(UnboundedReceiverStream::new(receiver)).boxed();
        Self { requests, sent }
    }

    /// Requests that the peer is told of this commit, with `entry_count` entries.
    fn request(&self, commit: u64, entry_count: u64) {
        let leader = NodeId(PublicKey::from_bytes([1; 32]));
        let position = |index| message::LogPosition::new(1, index);
        let entries = (1..=entry_count).map(|number| message::Entry {
            position: position(commit + number),
            payload: message::Payload::Blank,
        });
        let entries = entries.map(message::Entry::into_openraft);
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(1, leader),
            prev_log_id: Some(position(commit).into_openraft()),
            entries: entries.collect::<Result<_, _>>().unwrap(),
            leader_commit: Some(position(commit).into_openraft()),
        };
        self.requests.send(request).unwrap();
    }

    /// The next request that is sent: what it says is committed, and its number of entries.
    async fn next(&mut self) -> Option<(u64, usize)> {
        let sent = self.sent.next().await?;
        let commit = sent.leader_commit.map_or(0, |at| at.index());
        Some((commit, sent.entries.len()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_sent_with_the_next_entries() {
    let mut held = Held::new();
    held.request(5, 0);
    assert_eq!(held.next().now_or_never(), None);
    held.request(6, 0);
    assert_eq!(held.next().now_or_never(), None);
    held.request(6, 2);
    assert_eq!(held.next().now_or_never(), Some(Some((6, 2))));
    held.request(8, 1);
    assert_eq!(held.next().now_or_never(), Some(Some((8, 1))));
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_further_entries_waits_a_moment_however_many_follow() {
    let mut held = Held::new();
    let start = Instant::now();
    held.request(5, 0);
    assert_eq!(held.next().now_or_never(), None);
    tokio::time::advance(COMMIT_HOLD / 2).await;
    held.request(6, 0);
    assert_eq!(held.next().await, Some((6, 0)));
    assert_eq!(start.elapsed(), COMMIT_HOLD);
}

#[tokio::test(start_paused = true)]
async fn the_last_commit_of_a_stream_is_sent_when_it_ends() {
    let mut held = Held::new();
    held.request(5, 0);
    let (closed, _) = mpsc::unbounded_channel();
    held.requests = closed;
    assert_eq!(held.next().now_or_never(), Some(Some((5, 0))));
    assert_eq!(held.next().await, None);
}

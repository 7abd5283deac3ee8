use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::{Sink, future::BoxFuture, poll};
use quorate_state::LogIndex;
use tokio::sync::mpsc;

use super::*;

/// A peer that takes requests only while it is told to, and answers each with its number.
#[derive(Default)]
struct Echo {
    open: bool,
    waker: Option<Waker>,
    taken: u64,
}

struct EchoTransport(Arc<Mutex<Echo>>);

struct EchoSink(Arc<Mutex<Echo>>, mpsc::UnboundedSender<u64>);

impl Sink<Request> for EchoSink {
    type Error = LinkError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut echo = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match echo.open {
            true => Poll::Ready(Ok(())),
            false => {
                echo.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn start_send(self: Pin<&mut Self>, _: Request) -> Result<(), LinkError> {
        let mut echo = self.0.lock().unwrap();
        echo.taken += 1;
        self.1
            .send(echo.taken)
            .map_err(|_| LinkError("closed".into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }
}

impl Transport for EchoTransport {
    fn open(&self, _: NodeId, _: String, _: Lane) -> BoxFuture<'static, Result<Link, LinkError>> {
        let (tx, rx) = mpsc::unbounded_channel();
        let requests = Box::pin(EchoSink(self.0.clone(), tx));
        let responses = tokio_stream::wrappers::UnboundedReceiverStream::new(rx)
            .map(|number| Ok(Response::ReadIndex(Some(LogIndex(number)))))
            .boxed();
        Box::pin(async {
            Ok(Link {
                requests,
                responses,
            })
        })
    }
}

fn link(echo: &Arc<Mutex<Echo>>) -> PipelinedLink {
    PipelinedLink::new(Route {
        transport: Arc::new(EchoTransport(echo.clone())),
        peer: NodeId::default(),
        address: String::new(),
        lane: Lane::Control,
    })
}

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_request_dropped_before_the_link_took_it_is_not_in_flight() {
    let echo = Arc::new(Mutex::new(Echo::default()));
    let mut link = link(&echo);
    {
        let mut call = Box::pin(link.call(Request::ReadIndex, TIMEOUT));
        assert!(poll!(&mut call).is_pending(), "the link takes nothing yet");
    }
    echo.lock().unwrap().open = true;
    let response = link.call(Request::ReadIndex, TIMEOUT).await.unwrap();
    assert_eq!(
        response,
        Response::ReadIndex(Some(LogIndex(1))),
        "the first that the link took"
    );
}

#[tokio::test]
async fn a_late_response_is_not_taken_for_that_of_the_next_call() {
    let echo = Arc::new(Mutex::new(Echo {
        open: true,
        ..Echo::default()
    }));
    let mut link = link(&echo);
    link.send(Request::ReadIndex).await.unwrap();
    let response = link.call(Request::ReadIndex, TIMEOUT).await.unwrap();
    assert_eq!(response, Response::ReadIndex(Some(LogIndex(2))));
}

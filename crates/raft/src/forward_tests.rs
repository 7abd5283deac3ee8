use futures_util::{StreamExt, future::BoxFuture, sink, stream};
use quorate_rpc::{Link, LinkError};

use super::*;

/// A leader that can be reached or not, and whose links fail when something is sent.
struct FailingTransport {
    reachable: bool,
}

impl Transport for FailingTransport {
    fn open(&self, _: NodeId, _: String, _: Lane) -> BoxFuture<'static, Result<Link, LinkError>> {
        let failure = || LinkError("it fails".to_owned());
        let requests = sink::unfold((), move |(), _: Request| async move { Err(failure()) });
        let link = Link {
            requests: Box::pin(requests),
            responses: stream::pending().boxed(),
        };
        let reachable = self.reachable;
        Box::pin(async move { if reachable { Ok(link) } else { Err(failure()) } })
    }
}

async fn forwarded(reachable: bool) -> Result<Response, ForwardError> {
    let forwarder = Forwarder::new(Arc::new(FailingTransport { reachable }));
    let leader = NodeId::default();
    forwarder.call(leader, "leader:1", Request::ReadIndex).await
}

#[tokio::test]
async fn only_what_never_had_a_link_was_surely_not_sent() {
    assert_eq!(forwarded(false).await, Err(ForwardError::NotSent));
    assert_eq!(forwarded(true).await, Err(ForwardError::Lost));
}

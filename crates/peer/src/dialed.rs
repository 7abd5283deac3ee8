//! Links that this node opens.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt, stream};
use quorate_metrics::Held;
use quorate_rpc::{
    Link, LinkError,
    message::{Request, Response},
};

use crate::{
    FRAME_SIZE_MAX, Metrics,
    dial::{Dialer, Greeted},
    frame::{FrameDecoder, FrameEncoder, FrameError},
    metrics::Direction,
    remote::Remote,
};

/// Dials `remote` and makes a link of the connection.
pub(crate) async fn open_link(
    dialer: Arc<Dialer>,
    remote: Remote,
    metrics: Metrics,
) -> Result<Link, LinkError> {
    let dialed = dialer.dial(remote.peer, &remote.address, remote.lane).await;
    match dialed {
        Ok(greeted) => {
            remote.on_open();
            Ok(link(greeted, remote, &metrics))
        }
        Err(error) => {
            metrics.dial_failures_total.of(error.reason()).inc();
            Err(remote.on_unreachable(&error))
        }
    }
}

fn link((reader, writer): Greeted, remote: Remote, metrics: &Metrics) -> Link {
    let lane = remote.lane;
    let (read, written) = (metrics.read(lane), metrics.written(lane));
    let reader = reader.map_decoder(|_| FrameDecoder::<Response>::new(FRAME_SIZE_MAX, Some(read)));
    let writer =
        writer.map_encoder(|_| FrameEncoder::<Request>::new(FRAME_SIZE_MAX, Some(written)));
    // The link is open while either half of it is held.
    let open = Held::new(metrics.links_open.of(Direction::Dialed, lane));
    let remote = Arc::new((remote, open));
    let requests = {
        let remote = remote.clone();
        writer.sink_map_err(move |error: FrameError| remote.0.on_lost(&error))
    };
    let responses = stream::unfold(Some((reader, remote)), |open| async {
        let (mut reader, remote) = open?;
        let error = match reader.next().await {
            Some(Ok(response)) => return Some((Ok(response), Some((reader, remote)))),
            Some(Err(error)) => error,
            // The end of the connection is an error: only this end may end a link.
            None => FrameError::Closed,
        };
        Some((Err(remote.0.on_lost(&error)), None))
    });
    Link {
        requests: Box::pin(requests),
        responses: responses.boxed(),
    }
}

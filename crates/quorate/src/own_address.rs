//! Whether the cluster looks for this node where its configuration says that it is.

use std::{sync::Arc, time::Duration};

use quorate_peer::NodeId;
use quorate_raft::Node;
use tokio::time::timeout;

/// How long a node may take to catch up until its address is judged by what it knows: one that the
/// others look for elsewhere never does.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Says what to do if the cluster looks for `node` elsewhere than at `advertised`, where it says that
/// it is. Judged by the membership of today: while it was stopped an operator may have moved it.
pub(crate) async fn check(node: Arc<Node>, id: NodeId, advertised: Option<String>) {
    let has_caught_up = timeout(CATCH_UP_TIMEOUT, node.ready()).await.is_ok();
    let known = node.address();
    let doubt = known.and_then(|known| doubt(id, &known, advertised.as_deref(), has_caught_up));
    if let Some(doubt) = doubt {
        tracing::warn!("{doubt}");
    }
}

fn doubt(id: NodeId, known: &str, advertised: Option<&str>, has_caught_up: bool) -> Option<String> {
    let advertised = advertised.filter(|advertised| *advertised != known)?;
    let command = format!("`quorate member move {id} {advertised}`");
    Some(match has_caught_up {
        true => format!(
            "peer.advertise is {advertised}, and the cluster knows this node as {known}: the \
             setting is read only when the node founds or joins the cluster. Run {command} if it is \
             there now"
        ),
        false => format!(
            "peer.advertise is {advertised}, no leader reaches this node, and when it was last up \
             the cluster knew it as {known}: if nobody has moved it since, run {command} at another \
             member"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(known: &str, advertised: Option<&str>, has_caught_up: bool) -> String {
        let id = NodeId(quorate_packet::PublicKey::from_bytes([1; 32]));
        doubt(id, known, advertised, has_caught_up).unwrap_or_default()
    }

    #[test]
    fn a_node_that_is_where_the_cluster_looks_for_it_is_not_doubted() {
        assert_eq!(said("a:1", Some("a:1"), true), "");
        assert_eq!(said("a:1", None, true), "");
        assert_eq!(said("a:1", None, false), "");
    }

    #[test]
    fn who_moves_a_node_is_told_how_to_say_so() {
        let moved = said("a:1", Some("b:2"), true);
        assert!(moved.contains("b:2` if it is there now"), "{moved}");
        let unheard = said("a:1", Some("b:2"), false);
        assert!(unheard.contains("b:2` at another member"), "{unheard}");
    }
}

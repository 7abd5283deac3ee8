//! Compares the configured address of this node with that in the membership.

use std::{sync::Arc, time::Duration};

use quorate_peer::NodeId;
use quorate_raft::Node;
use tokio::time::timeout;

/// How long to wait for the node to catch up before its address is checked. A node that the others look
/// for at another address never catches up.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Logs what to do if the membership has another address for `node` than `advertised`. It waits until the
/// node has caught up, because an operator may have moved it while it was stopped.
pub(crate) async fn check(node: Arc<Node>, id: NodeId, advertised: Option<String>) {
    let has_caught_up = timeout(CATCH_UP_TIMEOUT, node.ready()).await.is_ok();
    let known = node.address();
    let address_warning =
        known.and_then(|known| address_warning(id, &known, advertised.as_deref(), has_caught_up));
    if let Some(address_warning) = address_warning {
        tracing::warn!("{address_warning}");
    }
}

fn address_warning(
    id: NodeId,
    known: &str,
    advertised: Option<&str>,
    has_caught_up: bool,
) -> Option<String> {
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

    fn warning(known: &str, advertised: Option<&str>, has_caught_up: bool) -> String {
        let id = NodeId(quorate_packet::PublicKey::from_bytes([1; 32]));
        address_warning(id, known, advertised, has_caught_up).unwrap_or_default()
    }

    #[test]
    fn a_node_at_its_known_address_gets_no_warning() {
        assert_eq!(warning("a:1", Some("a:1"), true), "");
        assert_eq!(warning("a:1", None, true), "");
        assert_eq!(warning("a:1", None, false), "");
    }

    #[test]
    fn a_moved_node_gets_a_warning_with_the_command() {
        let moved = warning("a:1", Some("b:2"), true);
        assert!(moved.contains("b:2` if it is there now"), "{moved}");
        let hello_error = warning("a:1", Some("b:2"), false);
        assert!(
            hello_error.contains("b:2` at another member"),
            "{hello_error}"
        );
    }
}

//! The bridge to the Mainline DHT.

use std::sync::Arc;

use axum::Json;
use quorate_api::{DhtPacket, DhtPublished, DhtStatus, ProblemType};
use quorate_http::{ProblemResponse, uncached};
use quorate_replica::DhtOperator;

use crate::{
    input::{EmptyBody, JsonBody, PathParam, parse_key},
    operations::operations,
    packets::described,
    shared::Shared,
};

operations! {
    "dht";

    /// The state of this node's bridge to the Mainline DHT
    "read" get DHT or DhtOff {
        operation_id = "dht_status",
        responses((status = 200, description = "The state", body = DhtStatus)),
    }
    async fn status(shared) {
        Ok(uncached(Json(bridge(&shared)?.status())))
    }

    /// Looks up a packet in the DHT, whatever this node stores
    "read" get DHT_PACKET or DhtOff or UnknownPacket or Unavailable {
        operation_id = "dht_packet",
        responses((status = 200, description = "The newest packet", body = DhtPacket)),
    }
    async fn packet(shared, PathParam(key): PathParam) {
        let found = bridge(&shared)?.find(&parse_key(&key)?).await?;
        Ok(uncached(Json(DhtPacket {
            packet: described(&found.packet),
            nodes_asked: found.nodes_asked,
            nodes_answered: found.nodes_answered,
        })))
    }

    /// Publishes the packet that this node holds in the DHT now
    "operate" post DHT_PACKET or DhtOff or UnknownPacket or Superseded or Unavailable {
        operation_id = "publish_in_dht",
        responses((status = 200, description = "How many nodes of the DHT took it", body = DhtPublished)),
    }
    async fn publish(
        shared,
        PathParam(key): PathParam,
        JsonBody(EmptyBody {}): JsonBody<EmptyBody>,
    ) {
        let published = bridge(&shared)?.publish_now(&parse_key(&key)?).await?;
        Ok(uncached(Json(published)))
    }
}

fn bridge(shared: &Shared) -> Result<&Arc<dyn DhtOperator>, ProblemResponse> {
    shared.node.dht.as_ref().ok_or_else(|| {
        let detail = "this node does not use the DHT: set dht.mode, and restart it";
        ProblemResponse::new(ProblemType::DhtOff, detail)
    })
}

#[cfg(test)]
#[path = "dht_tests.rs"]
mod tests;

//! What the node holds.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use data_encoding::BASE64;
use hickory_proto::{
    op::Message,
    rr::{RData, Record},
};
use quorate_admin_api::{
    PACKET_COUNT_DEFAULT, PACKET_COUNT_MAX, Packet, PacketPage, PacketRecord, PacketSummary,
    ProblemType, path,
};
use quorate_http::uncached;
use quorate_packet::{PublicKey, SignedPacket, message::counts_fit};
use quorate_replica::StoredPacket;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    input::{Params, Segment},
    problem::ProblemResponse,
    refusals::{PacketProblems, PageProblems},
    shared::Shared,
};

/// Which page is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The key behind which the page begins, in z-base-32: `next` of the page before.
    after: Option<String>,
    /// How many packets it has at most: 1 to 1000, 100 if nobody says.
    #[param(minimum = 1, maximum = 1000)]
    count: Option<usize>,
}

/// Packets that this node holds, in the order of their keys' bytes
#[utoipa::path(
    get,
    path = path::PACKETS,
    tag = "packets",
    security((), ("token" = ["read"])),
    params(PageQuery),
    responses((status = 200, description = "A page", body = PacketPage), PageProblems),
)]
pub(crate) async fn packets(
    State(shared): State<Arc<Shared>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ProblemResponse> {
    let after = query.after.as_deref().map(parse_key).transpose()?;
    let count = query.count.unwrap_or(PACKET_COUNT_DEFAULT);
    if !(1..=PACKET_COUNT_MAX).contains(&count) {
        let said = format!("`count` is {count}, and may be from 1 to {PACKET_COUNT_MAX}");
        return Err(ProblemResponse::new(ProblemType::BadRequest, said));
    }
    // One more tells whether there is another page. So many reads may take a while.
    let reading =
        tokio::task::spawn_blocking(move || shared.node.operator.packets_after(after, count + 1));
    let stored = match reading.await {
        Ok(stored) => stored?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let has_more = stored.len() > count;
    let packets: Vec<_> = stored.iter().take(count).map(summary).collect();
    let last = packets.last().filter(|_| has_more);
    Ok(uncached(Json(PacketPage {
        next: last.map(|packet| packet.key.clone()),
        packets,
    })))
}

/// A packet that this node holds
#[utoipa::path(
    get,
    path = path::PACKET,
    tag = "packets",
    security((), ("token" = ["read"])),
    params(("key" = String, Path, description = "The key, in z-base-32")),
    responses((status = 200, description = "The packet", body = Packet), PacketProblems),
)]
pub(crate) async fn packet(
    State(shared): State<Arc<Shared>>,
    Segment(key): Segment,
) -> Result<Response, ProblemResponse> {
    let key = parse_key(&key)?;
    let stored = shared.node.reader.stored_packet(&key)?;
    let stored = stored.ok_or_else(|| {
        let said = format!("this node holds no packet of {key}");
        ProblemResponse::new(ProblemType::UnknownPacket, said)
    })?;
    let PacketSummary {
        key,
        timestamp_us,
        received_ms,
        size: _,
    } = summary(&stored);
    Ok(uncached(Json(Packet {
        key,
        timestamp_us,
        received_ms,
        payload: BASE64.encode(stored.packet.payload()),
        records: records(&stored.packet),
    })))
}

fn parse_key(text: &str) -> Result<PublicKey, ProblemResponse> {
    text.parse().map_err(|error| {
        let said = format!("{text:?} is no key: {error}");
        ProblemResponse::new(ProblemType::BadRequest, said)
    })
}

fn summary(stored: &StoredPacket) -> PacketSummary {
    let packet = &stored.packet;
    PacketSummary {
        key: packet.key().to_string(),
        timestamp_us: packet.timestamp().as_micros(),
        received_ms: stored.received.0,
        size: packet.payload().len(),
    }
}

/// None if the DNS message cannot be read: its signer signed nonsense, and the payload shows it.
fn records(packet: &SignedPacket) -> Vec<PacketRecord> {
    let message = counts_fit(packet.dns()).then(|| Message::from_vec(packet.dns()).ok());
    let message = message.flatten();
    let answers = message.iter().flat_map(|message| &message.answers);
    answers.map(record).collect()
}

fn record(record: &Record) -> PacketRecord {
    PacketRecord {
        name: record.name.to_string(),
        record_type: record.record_type().to_string(),
        ttl: record.ttl,
        data: match &record.data {
            RData::TXT(txt) => {
                let strings = txt.txt_data.iter();
                let quoted = strings.map(|string| format!("\"{}\"", string.escape_ascii()));
                quoted.collect::<Vec<_>>().join(" ")
            }
            data => data.to_string(),
        },
    }
}

#[cfg(test)]
#[path = "packets_tests.rs"]
mod tests;

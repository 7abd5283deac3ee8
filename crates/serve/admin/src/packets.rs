//! The packets that the node holds.

use axum::Json;
use data_encoding::BASE64;
use hickory_proto::{
    op::Message,
    rr::{RData, Record},
};
use quorate_api::{
    BLOCK_SECS_MAX, DeletePacket, Deleted, IMPORT_COUNT_MAX, IMPORT_PACKETS_SIZE_MAX,
    ImportPackets, ImportReport, Packet, PacketPage, PacketRecord, PacketSummary, PortablePacket,
    ProblemType, RejectedPacket,
};
use quorate_http::{ProblemResponse, uncached};
use quorate_packet::{KeyError, SignedPacket, message::counts_fit, txt_text};
use quorate_replica::StoredPacket;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    authorize::CallerName,
    input::{JsonBody, PathParam, QueryParams, blocking, check_range, parse_key},
    operations::operations,
    page::{self, PageQuery},
};

operations! {
    "packets";

    /// Packets that this node holds, in the order of their keys' bytes
    "read" get PACKETS or Unavailable {
        params(PageQuery),
        responses((status = 200, description = "A page", body = PacketPage)),
    }
    async fn packets(shared, QueryParams(query): QueryParams<PageQuery>) {
        let (after, count) = query.parse()?;
        // One more shows whether there is another page. Many reads may take long, so they run
        // elsewhere.
        let stored = blocking(move || shared.node.replica.packets_after(after, count + 1)).await?;
        let packets = stored.iter().map(summary);
        let (packets, next) = page::split_page(packets, count, |packet| packet.key.clone());
        Ok(uncached(Json(PacketPage { packets, next })))
    }

    /// A packet that this node holds
    "read" get PACKET or UnknownPacket or Unavailable {
        responses((status = 200, description = "The packet", body = Packet)),
    }
    async fn packet(shared, PathParam(key): PathParam) {
        let key = parse_key(&key)?;
        let stored = shared.node.replica.stored_packet(&key)?;
        let stored = stored.ok_or_else(|| {
            let detail = format!("this node holds no packet of {key}");
            ProblemResponse::new(ProblemType::UnknownPacket, detail)
        })?;
        Ok(uncached(Json(described(&stored))))
    }

    /// Stores packets that other servers received before
    ///
    /// The limits of the relay do not apply, and the publish policy, blocks and deletions do. The
    /// request can be repeated.
    "operate" post IMPORT_PACKETS up to IMPORT_PACKETS_SIZE_MAX sends ImportPackets {
        operation_id = "import_packets",
        request_body = ImportPackets,
        responses((status = 200, description = "What became of them", body = ImportReport)),
    }
    async fn import(
        shared,
        caller: CallerName,
        JsonBody(request): JsonBody<ImportPackets>,
    ) {
        check_range("packets", request.packets.len(), 1..=IMPORT_COUNT_MAX)?;
        let (import, mut invalid) = blocking(move || verified(request)).await;
        let mut report = match import.packets.is_empty() {
            true => ImportReport::default(),
            false => shared.submit(&caller, import).await?,
        };
        report.rejected.append(&mut invalid);
        Ok(uncached(Json(report)))
    }

    /// Deletes a packet in the whole cluster
    ///
    /// Afterwards no node serves it, and neither it nor an older one can be stored again. The
    /// request can be repeated. A key without a packet can be blocked, too.
    "operate" delete PACKET sends DeletePacket {
        operation_id = "delete_packet",
        params(DeleteQuery),
        responses((status = 200, description = "The packet is deleted", body = Deleted)),
    }
    async fn delete(
        shared,
        caller: CallerName,
        PathParam(key): PathParam,
        QueryParams(DeleteQuery { block_secs }): QueryParams<DeleteQuery>,
    ) {
        let key = parse_key(&key)?;
        if let Some(secs) = block_secs
            && secs > BLOCK_SECS_MAX
        {
            let detail = format!(
                "`block_secs` is {secs}, but must be at most {BLOCK_SECS_MAX}: to block the key for good, deny \
                 it"
            );
            return Err(ProblemResponse::new(ProblemType::BadRequest, detail));
        }
        let deleted = shared.submit(&caller, DeletePacket { key, block_secs }).await?;
        Ok(uncached(Json(deleted)))
    }
}

/// The query of a deletion.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// For how long the key may not publish at all, in seconds: up to 31,622,400. 0 removes a
    /// block. By default, a block stays as it is.
    #[param(maximum = 31_622_400)]
    block_secs: Option<u64>,
}

/// The packets with a valid signature, and the others.
fn verified(request: ImportPackets) -> (ImportPackets, Vec<RejectedPacket>) {
    let mut rejected = Vec::new();
    let mut packets = request.packets;
    packets.retain(|packet| {
        let reason = check(packet).err();
        let is_valid = reason.is_none();
        rejected.extend(reason.map(|reason| RejectedPacket {
            key: packet.key.clone(),
            reason,
        }));
        is_valid
    });
    (ImportPackets { packets }, rejected)
}

fn check(packet: &PortablePacket) -> Result<(), String> {
    let key = packet
        .key
        .parse()
        .map_err(|error: KeyError| error.to_string())?;
    let payload = BASE64.decode(packet.payload.as_bytes());
    let payload = payload.map_err(|error| format!("its payload is not base64: {error}"))?;
    let parsed = SignedPacket::parse(key, payload.into());
    parsed.map(drop).map_err(|error| error.to_string())
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

/// A packet with its content.
pub(crate) fn described(stored: &StoredPacket) -> Packet {
    let summary = summary(stored);
    Packet {
        key: summary.key,
        timestamp_us: summary.timestamp_us,
        received_ms: summary.received_ms,
        payload: BASE64.encode(stored.packet.payload()),
        records: records(&stored.packet),
    }
}

/// The records of a packet. Empty if its DNS message is malformed: then only the payload is useful.
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
            RData::TXT(txt) => txt_text(&txt.txt_data),
            data => data.to_string(),
        },
    }
}

#[cfg(test)]
#[path = "packets_tests.rs"]
mod tests;

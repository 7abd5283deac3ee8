//! How a node is: `quorate status`.

use clap::Args;
use quorate_admin_api::{Status, path};

use crate::{
    admin::{AdminArgs, Ask},
    exit, table,
};

/// Arguments of `quorate status`.
#[derive(Debug, Args)]
#[command(after_help = exit::help())]
pub struct StatusArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// Prints how the node is.
pub async fn status(args: StatusArgs) -> anyhow::Result<()> {
    let (client, mut console) = args.admin.connect()?;
    let status: Status = client.send(&Ask::get(path::STATUS), &mut console).await?;
    console.print(&status, text)
}

fn text(status: &Status) -> String {
    let leader = match &status.leader {
        Some(leader) if *leader == status.node => "this node".to_owned(),
        Some(leader) => leader.clone(),
        None => "none is known".to_owned(),
    };
    let ready = match &status.not_ready {
        Some(reason) => format!("no: {reason}"),
        None => "yes".to_owned(),
    };
    let mut lines = vec![
        ("node", status.node.clone()),
        ("role", format!("{} in term {}", status.role, status.term)),
        ("leader", leader),
        ("ready", ready),
        ("voters", status.voters.len().to_string()),
    ];
    lines.extend(status.voters.iter().map(|voter| ("", voter.clone())));
    let entries = format!(
        "last {}, committed {}, applied {}, in the checkpoint {}, purged {}",
        status.last_log_index,
        status.committed_index,
        status.applied_index,
        status.checkpoint_index,
        status.purged_index
    );
    lines.push(("entries", entries));
    if let Some(lag) = status.replication_lag {
        lines.push((
            "lag",
            format!("{lag} entries, of the voter furthest behind"),
        ));
    }
    let count = of_max(status.packet_count, status.packet_count_max);
    let size = of_max(status.packets_size, status.packets_size_max);
    lines.push(("packets", format!("{count}; {size} bytes")));
    lines.push(("store", format!("{} bytes on disk", status.store_size)));
    if status.disk_full {
        lines.push(("disk", "nearly full: the node only reads".to_owned()));
    }
    lines.push(("clock", clock(status)));
    lines.push(("level", status.feature_level.to_string()));
    table::lines(&lines)
}

fn of_max(count: u64, max: Option<u64>) -> String {
    match max {
        Some(max) => format!("{count} of at most {max}"),
        None => count.to_string(),
    }
}

fn clock(status: &Status) -> String {
    let state = &status.clock.state;
    match status.clock.offset_ms {
        Some(offset_ms @ ..0) => format!("{state}, {} ms behind", offset_ms.unsigned_abs()),
        Some(offset_ms) => format!("{state}, {offset_ms} ms ahead"),
        None => state.clone(),
    }
}

#[cfg(test)]
mod tests {
    use quorate_admin_api::ClockStatus;

    use super::*;

    #[test]
    fn a_follower_is_told_in_lines() {
        let status = Status {
            node: "b".to_owned(),
            role: "follower".to_owned(),
            term: 3,
            leader: Some("a".to_owned()),
            last_log_index: 9,
            committed_index: 8,
            applied_index: 7,
            checkpoint_index: 6,
            purged_index: 5,
            replication_lag: None,
            voters: vec!["a".to_owned(), "b".to_owned()],
            packet_count: 4,
            packets_size: 400,
            feature_level: 2,
            packet_count_max: Some(1000),
            packets_size_max: None,
            store_size: 4096,
            clock: ClockStatus {
                state: "agreed".to_owned(),
                offset_ms: Some(-12),
            },
            disk_full: false,
            not_ready: Some("no_leader".to_owned()),
        };
        let expected = "\
node     b
role     follower in term 3
leader   a
ready    no: no_leader
voters   2
         a
         b
entries  last 9, committed 8, applied 7, in the checkpoint 6, purged 5
packets  4 of at most 1000; 400 bytes
store    4096 bytes on disk
clock    agreed, 12 ms behind
level    2
";
        assert_eq!(text(&status), expected);
    }
}

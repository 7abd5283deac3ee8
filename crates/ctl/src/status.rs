//! The status of a node: `quorate status`.

use quorate_api::{BackupStatus, NodeStatus, cluster_name, path};

use crate::{
    admin::{ApiCall, Session},
    member_list,
    output::printable,
    span, table,
};

/// Prints the status of the node and, for people, the member list below it, which shows for example a node
/// that catches up. JSON contains the node alone.
pub(crate) async fn show(session: &mut Session) -> anyhow::Result<()> {
    let status: NodeStatus = session.call(&ApiCall::get(path::STATUS)).await?;
    if session.console.is_json() {
        return session.console.report(&status);
    }
    session.console.print(&status, text)?;
    let members = session.client.send(&ApiCall::get(path::MEMBERS)).await;
    match members {
        Ok(members) => {
            member_list::note_view(&members, session);
            let below = format!("\n{}", member_list::text(&members));
            session.console.write(below.as_bytes())
        }
        Err(error) => {
            session.note(format_args!("the other members are unknown: {error}"));
            Ok(())
        }
    }
}

fn text(status: &NodeStatus) -> String {
    let leader = match &status.leader {
        Some(leader) if *leader == status.node => "this node".to_owned(),
        Some(leader) => leader.clone(),
        None => "none is known".to_owned(),
    };
    let ready = match &status.not_ready {
        Some(reason) => format!("no: {reason}"),
        None => "yes".to_owned(),
    };
    let cluster = status.cluster.as_deref().map_or("none", cluster_name);
    let mut lines = vec![
        ("node", status.node.clone()),
        ("cluster", cluster.to_owned()),
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
        let lag = format!("{lag} entries, of the voter furthest behind");
        lines.push(("lag", lag));
    }
    let count = of_max(status.packet_count, status.packet_count_max);
    let size = of_max(status.packets_size, status.packets_size_max);
    lines.push(("packets", format!("{count}; {size} bytes")));
    lines.push(("store", format!("{} bytes on disk", status.store_size)));
    if let Some(backup) = &status.backup {
        lines.push(("backup", self::backup(backup)));
    }
    if status.disk_full {
        lines.push(("disk", "nearly full: the node only reads".to_owned()));
    }
    lines.push(("clock", clock(status)));
    if status.clock.log_ahead_ms > 0 {
        let ahead = status.clock.log_ahead_ms;
        let text = format!("{ahead} ms ahead of what a majority agrees on");
        lines.push(("time", text));
    }
    lines.push(("level", status.feature_level.to_string()));
    table::lines(&lines)
}

fn backup(backup: &BackupStatus) -> String {
    let saved = match backup.saved_ms {
        Some(at) => format!(
            "{} of {}, {} packets in {} bytes",
            backup.name,
            span::date(at),
            backup.packet_count,
            backup.size
        ),
        None => "none was saved".to_owned(),
    };
    match backup.failed_ms {
        Some(at) if backup.failure_count > 0 => format!(
            "{saved}; failed {} times since, last {}: {}",
            backup.failure_count,
            span::date(at),
            printable(&backup.error)
        ),
        _ => saved,
    }
}

fn of_max(count: u64, max: Option<u64>) -> String {
    match max {
        Some(max) => format!("{count} of at most {max}"),
        None => count.to_string(),
    }
}

fn clock(status: &NodeStatus) -> String {
    let state = status.clock.state;
    match status.clock.offset_ms {
        Some(offset_ms @ ..0) => format!("{state}, {} ms behind", offset_ms.unsigned_abs()),
        Some(0) => format!("{state}, in step"),
        Some(offset_ms) => format!("{state}, {offset_ms} ms ahead"),
        None => state.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use quorate_api::{ClockState, LogIndex, NodeClock, NotReady, ProblemType, Role, Term};

    use super::*;
    use crate::{
        admin::canned::{Answer, CannedNode},
        console::captured::Captured,
        member::tests::two_members,
    };

    fn follower() -> NodeStatus {
        NodeStatus {
            node: "b".to_owned(),
            cluster: Some("c".repeat(64)),
            role: Role::Follower,
            term: Term(3),
            leader: Some("a".to_owned()),
            last_log_index: LogIndex(9),
            committed_index: LogIndex(8),
            applied_index: LogIndex(7),
            checkpoint_index: LogIndex(6),
            purged_index: LogIndex(5),
            replication_lag: None,
            voters: vec!["a".to_owned(), "b".to_owned()],
            packet_count: 4,
            packets_size: 400,
            feature_level: 2,
            packet_count_max: Some(1000),
            packets_size_max: None,
            backup: None,
            retention_secs: None,
            store_size: 4096,
            clock: NodeClock {
                state: ClockState::Agreed,
                offset_ms: Some(-12),
                log_ahead_ms: 0,
            },
            disk_full: false,
            not_ready: Some(NotReady::NoLeader),
        }
    }

    async fn shown(node: &CannedNode, is_json: bool) -> Captured {
        let words = ["status", "--json"];
        let words = if is_json { &words[..] } else { &words[..1] };
        let (captured, outcome) = node.run(words).await;
        assert_eq!(outcome, Ok(()));
        captured
    }

    #[tokio::test]
    async fn the_member_list_follows_the_status() {
        let status = NodeStatus {
            not_ready: None,
            ..follower()
        };
        let status = Answer::json(StatusCode::OK, &status);
        let node = CannedNode::start([status.clone(), two_members()]).await;
        let captured = shown(&node, false).await;
        let data = captured.data();
        let (above, below) = data.split_once("\n\n").unwrap();
        assert!(above.contains("ready    yes\n"), "{above}");
        assert!(below.starts_with("NODE   NAME "), "{below}");
        assert_eq!(captured.notes(), "");

        // Without the member list, the status of the node is still printed.
        let problem = Answer::problem(ProblemType::NoLeader, "none answers");
        let node = CannedNode::start([status, problem]).await;
        let captured = shown(&node, false).await;
        assert!(captured.data().ends_with("level    2\n"));
        let expected = "quorate: the other members are unknown: none answers\n";
        assert_eq!(captured.notes(), expected);
    }

    #[tokio::test]
    async fn the_reason_why_a_node_is_not_ready_is_printed() {
        let status = Answer::json(StatusCode::OK, &follower());
        let node = CannedNode::start([status, two_members()]).await;
        let data = shown(&node, false).await.data();
        let expected = "ready    no: no leader is known: PUTs wait, reads and DNS are served\n";
        assert!(data.contains(expected), "{data}");
    }

    #[tokio::test]
    async fn the_json_has_only_the_status_of_the_node() {
        let node = CannedNode::start([Answer::json(StatusCode::OK, &follower())]).await;
        let data = shown(&node, true).await.data();
        let printed: NodeStatus = serde_json::from_str(&data).unwrap();
        assert_eq!((printed, node.requests().len()), (follower(), 1));
    }

    #[test]
    fn the_last_backup_and_later_failures_are_printed() {
        let mut status = follower();
        assert!(!text(&status).contains("backup"));
        status.backup = Some(BackupStatus {
            saved_ms: Some(0),
            name: "a.backup".to_owned(),
            size: 9,
            packet_count: 2,
            failed_ms: Some(1_000),
            error: "no space".to_owned(),
            ..BackupStatus::default()
        });
        let saved = "backup   a.backup of Thu, 01 Jan 1970 00:00:00 GMT, 2 packets in 9 bytes\n";
        assert!(text(&status).contains(saved), "{}", text(&status));
        status.backup.as_mut().unwrap().failure_count = 2;
        let failed = "bytes; failed 2 times since, last Thu, 01 Jan 1970 00:00:01 GMT: no space\n";
        assert!(text(&status).contains(failed), "{}", text(&status));
    }

    #[test]
    fn a_log_ahead_of_the_clock_is_printed() {
        let mut status = follower();
        assert!(!text(&status).contains("time"));
        status.clock.log_ahead_ms = 5_000;
        assert!(text(&status).contains("5000 ms ahead of"));
    }

    #[test]
    fn an_exact_clock_is_neither_ahead_nor_behind() {
        let mut status = follower();
        for (offset_ms, expected) in [(0, "agreed, in step"), (3, "agreed, 3 ms ahead")] {
            status.clock.offset_ms = Some(offset_ms);
            assert_eq!(clock(&status), expected);
        }
    }

    #[test]
    fn the_status_of_a_follower_is_printed_in_lines() {
        let status = follower();
        let expected = "\
node     b
cluster  cccccccccccccccc
role     follower in term 3
leader   a
ready    no: no leader is known: PUTs wait, reads and DNS are served
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

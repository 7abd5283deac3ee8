//! The members as a table.

use std::time::Duration;

use quorate_api::{Member, MemberState, Members};

use crate::{admin::Session, span, table::table};

/// The fewest characters of a key that are shown.
const NODE_LEN_MIN: usize = 8;

/// Prints a note if the list is not from a leader.
pub(crate) fn note_view(members: &Members, session: &mut Session) {
    let is_removed = |member: &Member| member.state == MemberState::Removed;
    if members.members.iter().any(is_removed) {
        session.note(
            "this node is no longer a member and lists the members of that time: ask another member",
        );
    } else if members.leader.is_none() {
        session.note(
            "no leader is known: this is the view of this node alone, and HEARD is how long ago it heard from the others",
        );
    }
}

/// Formats the table, with nothing before it: a script can count its lines.
pub(crate) fn text(members: &Members) -> String {
    let len = prefix_len(members);
    let row = |member: &Member| {
        // The last known values of a silent member are outdated.
        let is_heard = member.state != MemberState::Silent;
        let lag = member.lag.filter(|_| is_heard).map(|lag| lag.to_string());
        [
            member.node.chars().take(len).collect(),
            member.name.clone(),
            member.role.to_string(),
            member.state.to_string(),
            lag.unwrap_or_default(),
            member.last_heard_ms.map(ago).unwrap_or_default(),
            member.not_electable.join(","),
            level(member),
            member.address.clone(),
        ]
    };
    let titles = [
        "NODE",
        "NAME",
        "ROLE",
        "STATE",
        "LAG",
        "HEARD",
        "CANNOT LEAD",
        "LEVEL",
        "ADDRESS",
    ];
    table(titles, members.members.iter().map(row))
}

/// How many characters make all keys unique.
fn prefix_len(members: &Members) -> usize {
    let mut keys: Vec<&str> = members.members.iter().map(|m| m.node.as_str()).collect();
    keys.sort_unstable();
    let shared = |pair: &[&str]| {
        let pairs = pair[0].chars().zip(pair[1].chars());
        pairs.take_while(|(a, b)| a == b).count()
    };
    let longest = keys.windows(2).map(shared).max().unwrap_or(0);
    (longest + 1).max(NODE_LEN_MIN)
}

/// The level that a member supports, and whether it holds back the cluster's.
fn level(member: &Member) -> String {
    let level = member.level.map(|level| level.to_string());
    let hold = member.level_hold.then(|| "held".to_owned());
    level.into_iter().chain(hold).collect::<Vec<_>>().join(",")
}

fn ago(ms: u64) -> String {
    match ms {
        ..1000 => format!("{ms}ms"),
        _ => span::shown(Duration::from_millis(ms)),
    }
}

#[cfg(test)]
mod tests {
    use quorate_api::MemberRole;

    use super::*;

    fn member(node: &str, state: MemberState) -> Member {
        Member {
            node: node.to_owned(),
            name: String::new(),
            role: MemberRole::Voter,
            address: "ns1.example.org:7700".to_owned(),
            state,
            lag: None,
            last_heard_ms: None,
            not_electable: Vec::new(),
            level: Some(1),
            level_hold: false,
        }
    }

    fn members(members: Vec<Member>) -> Members {
        Members {
            cluster: None,
            leader: None,
            members,
        }
    }

    #[test]
    fn members_are_printed_in_columns() {
        let list = members(vec![
            Member {
                name: "fra-1".to_owned(),
                ..member("abcdefghijkl", MemberState::Leader)
            },
            Member {
                role: MemberRole::Learner,
                lag: Some(120),
                last_heard_ms: Some(61_500),
                not_electable: vec!["clock".to_owned(), "disk_slow".to_owned()],
                level: Some(2),
                level_hold: true,
                address: "[2001:db8::1]:7700".to_owned(),
                ..member("bcdefghijklm", MemberState::CatchingUp)
            },
        ]);
        let expected = "\
NODE      NAME   ROLE     STATE        LAG  HEARD  CANNOT LEAD      LEVEL   ADDRESS
abcdefgh  fra-1  voter    leader       -    -      -                1       ns1.example.org:7700
bcdefghi  -      learner  catching_up  120  1m1s   clock,disk_slow  2,held  [2001:db8::1]:7700
";
        assert_eq!(text(&list), expected);
    }

    #[test]
    fn the_lag_of_a_silent_node_is_not_shown() {
        let list = members(vec![Member {
            lag: Some(7),
            last_heard_ms: Some(61_000),
            ..member("abcdefghijkl", MemberState::Silent)
        }]);
        let text = text(&list);
        assert!(text.contains("  silent  -    1m1s  "), "{text}");
    }

    #[test]
    fn keys_are_shortened_to_a_unique_beginning() {
        let list = members(vec![
            member("abcdefghijkl", MemberState::Live),
            member("abcdefghijxy", MemberState::Live),
        ]);
        let text = text(&list);
        assert!(text.contains("\nabcdefghijk "), "{text}");
        assert!(text.contains("\nabcdefghijx "), "{text}");
    }

    #[test]
    fn less_than_a_second_is_shown_in_milliseconds() {
        assert_eq!((ago(0).as_str(), ago(999).as_str()), ("0ms", "999ms"));
        assert_eq!(ago(1000), "1s");
    }
}

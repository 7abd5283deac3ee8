//! Which survivor is the best, and what may be lost.

use std::collections::BTreeSet;

use quorate_state::LogPosition;

use crate::Summary;

/// What the survivors show together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The place of the best survivor in the list: the one whose last readable entry is the highest by term,
    /// then by index (Raft paper, section 5.4.1). Of equal ones, the first.
    pub best: usize,
    /// An entry above that one that cannot be read, and the place of the survivor that has it.
    pub unreadable: Option<(usize, LogPosition)>,
    /// An entry that another survivor knows to be committed and that the best one may lack, and the place of
    /// that survivor.
    pub committed_elsewhere: Option<(usize, LogPosition)>,
    /// The voters of the old cluster, by the best survivor.
    pub voter_count: usize,
    /// How many of them are among the survivors.
    pub survivor_count: usize,
    /// Whether the survivors, if they were started, would elect a leader.
    pub is_majority: bool,
    /// Whether every entry that was acknowledged is certainly there: enough voters survive to have at least
    /// one of every majority, and nothing of them is damaged.
    pub is_complete: bool,
}

impl Assessment {
    /// Assesses the survivors. `None` if none of them has an entry.
    pub fn of(survivors: &[&Summary]) -> Option<Self> {
        let all = || survivors.iter().enumerate();
        let (best, last) = all()
            .rev()
            .filter_map(|(place, summary)| Some((place, summary.last?)))
            .max_by_key(|(_, last)| *last)?;
        let highest = |of: fn(&Summary) -> Option<LogPosition>| {
            let known = all().filter_map(|(place, summary)| Some((place, of(summary)?)));
            known
                .max_by_key(|(_, position)| *position)
                .filter(|(_, position)| *position > last)
        };
        let voters = &survivors[best].voters;
        let union: BTreeSet<_> = voters.iter().flatten().collect();
        let nodes = |is_counted: fn(&Summary) -> bool| -> BTreeSet<&str> {
            let counted = survivors.iter().filter(|summary| is_counted(summary));
            counted
                .filter_map(|summary| summary.node.as_deref())
                .collect()
        };
        let (present, intact) = (nodes(|_| true), nodes(Summary::is_intact));
        let count = |config: &[String], nodes: &BTreeSet<&str>| {
            config
                .iter()
                .filter(|node| nodes.contains(&***node))
                .count()
        };
        let all_configs = |holds: &dyn Fn(&[String]) -> bool| {
            !voters.is_empty() && voters.iter().all(|config| holds(config))
        };
        let committed_elsewhere = all().find_map(|(place, summary)| {
            let committed = summary.committed?;
            // Beyond the best one in index, though not in term.
            (committed.index > last.index).then_some((place, committed))
        });
        Some(Self {
            best,
            unreadable: highest(|summary| summary.unreachable),
            committed_elsewhere,
            voter_count: union.len(),
            survivor_count: union
                .iter()
                .filter(|node| present.contains(&****node))
                .count(),
            is_majority: all_configs(&|config| count(config, &present) > config.len() / 2),
            // Every majority has at least one of so many.
            is_complete: committed_elsewhere.is_none()
                && all_configs(&|config| count(config, &intact) >= config.len() - config.len() / 2),
        })
    }
}

/// The position after which the new cluster begins: above all terms and indexes that a survivor knows.
pub fn last_known(survivors: &[&Summary]) -> LogPosition {
    let highest = |of: fn(&Summary) -> u64| survivors.iter().map(|it| of(it)).max();
    LogPosition::new(
        highest(Summary::term_max).unwrap_or_default(),
        highest(Summary::index_max).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SummaryVote;

    fn summary(node: u8, last: Option<(u64, u64)>) -> Summary {
        Summary {
            version: Summary::VERSION,
            dir: format!("/{node}"),
            node: Some(node.to_string()),
            cluster: "c".to_owned(),
            vote: None,
            applied: None,
            packet_count: 0,
            packets_hash: String::new(),
            committed: None,
            last: last.map(|(term, index)| LogPosition::new(term, index)),
            unreachable: None,
            uncommitted_packets: 0,
            cluster_time_ms: None,
            log_damage: None,
            store_damage: None,
            voters: vec![config(&[1, 2, 3])],
        }
    }

    fn config(nodes: &[u8]) -> Vec<String> {
        nodes.iter().map(ToString::to_string).collect()
    }

    fn known(survivors: &[Summary]) -> LogPosition {
        last_known(&survivors.iter().collect::<Vec<_>>())
    }

    fn assess(survivors: &[Summary]) -> Option<Assessment> {
        Assessment::of(&survivors.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_best_has_the_highest_term_before_the_highest_index() {
        let survivors = [
            summary(1, Some((2, 90))),
            summary(2, Some((3, 10))),
            summary(3, Some((3, 10))),
            summary(9, None),
        ];
        let found = assess(&survivors).unwrap();
        assert_eq!(
            (found.best, known(&survivors)),
            (1, LogPosition::new(3, 90))
        );
        assert_eq!((found.voter_count, found.survivor_count), (3, 3));
        assert_eq!(assess(&survivors[3..]), None);
        assert_eq!(assess(&[]), None);
    }

    #[test]
    fn an_entry_above_the_best_that_cannot_be_read_is_named() {
        let mut damaged = summary(2, Some((3, 5)));
        damaged.unreachable = Some(LogPosition::new(4, 30));
        damaged.log_damage = Some("damaged".to_owned());
        damaged.vote = Some(SummaryVote {
            term: 7,
            node: "2".to_owned(),
            committed: true,
        });
        let survivors = [summary(1, Some((3, 10))), damaged];
        let found = assess(&survivors).unwrap();
        assert_eq!(found.best, 0);
        assert_eq!(found.unreadable, Some((1, LogPosition::new(4, 30))));
        assert_eq!(known(&survivors), LogPosition::new(7, 30));
        // Without any entry, the new cluster still begins above it.
        assert_eq!(known(&survivors[1..]), LogPosition::new(7, 30));
        assert!(!found.is_complete, "one intact voter of three");
    }

    #[test]
    fn nothing_is_lost_if_every_majority_has_a_survivor() {
        let [one, two, learner] =
            [(1, 10), (2, 12), (9, 12)].map(|(node, index)| summary(node, Some((1, index))));
        let is_complete = |survivors: &[Summary]| assess(survivors).unwrap().is_complete;
        assert!(is_complete(&[one.clone(), two.clone()]));
        assert!(!is_complete(std::slice::from_ref(&two)));
        assert!(
            !is_complete(&[two.clone(), two.clone()]),
            "the same node twice"
        );
        assert!(!is_complete(&[two, learner]));
    }

    #[test]
    fn during_a_change_of_the_members_both_majorities_count() {
        let survivors = [3, 4].map(|node| Summary {
            voters: vec![config(&[1, 2, 3]), config(&[1, 2, 4])],
            ..summary(node, Some((1, 10)))
        });
        let found = assess(&survivors).unwrap();
        assert_eq!((found.voter_count, found.survivor_count), (4, 2));
        assert!(
            !found.is_complete && !found.is_majority,
            "1 and 2 were both"
        );
    }

    #[test]
    fn damaged_packets_and_what_is_committed_elsewhere_are_not_complete() {
        let survivors = [1, 2].map(|node| summary(node, Some((3, 10))));
        assert!(assess(&survivors).unwrap().is_complete);
        let mut damaged = survivors.clone();
        damaged[1].store_damage = Some("damaged".to_owned());
        assert!(!assess(&damaged).unwrap().is_complete);
        let mut behind = survivors;
        behind[1].last = Some(LogPosition::new(2, 12));
        behind[1].committed = Some(LogPosition::new(2, 12));
        let found = assess(&behind).unwrap();
        assert_eq!(found.best, 0);
        assert_eq!(
            found.committed_elsewhere,
            Some((1, LogPosition::new(2, 12)))
        );
        assert!(!found.is_complete);
    }
}

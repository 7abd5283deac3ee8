//! Finds files that use each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Returns one circle for each set of files that all reach each other: the shortest one through its
/// first file, which is at both ends.
pub(crate) fn circles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for file in uses.keys() {
        if seen.contains(file.as_str()) {
            continue;
        }
        if let Some(circle) = shortest_circle(uses, file) {
            let reached = reached(uses, file);
            let same = |other: &&str| reached_from(uses, other, file);
            seen.extend(reached.into_iter().filter(same));
            circles.push(circle);
        }
    }
    circles
}

fn reached<'a>(uses: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for used in uses.get(file).into_iter().flatten() {
            if reached.insert(used.as_str()) {
                next.push(used);
            }
        }
    }
    reached
}

fn reached_from(uses: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    reached(uses, from).contains(to)
}

/// Breadth first, from `start` back to it.
fn shortest_circle(uses: &BTreeMap<String, BTreeSet<String>>, start: &str) -> Option<Vec<String>> {
    let mut paths = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = paths.pop_front() {
        let last = path.last().expect("a path begins with its start");
        for used in uses.get(last).into_iter().flatten() {
            let mut longer = path.clone();
            longer.push(used.clone());
            if used == start {
                return Some(longer);
            }
            if seen.insert(used) {
                paths.push_back(longer);
            }
        }
    }
    None
}

use super::*;
use crate::{
    cpu::Used,
    load::{Outcome, Tally},
    scrape::Inside,
};

fn row(ok_count: u64, inside: Option<Inside>) -> Row {
    let mut tally = Tally::new();
    for _ in 0..ok_count {
        tally.on_ok(Duration::from_micros(1500));
    }
    Row {
        work: "PUT".into(),
        outcome: Outcome {
            elapsed: Duration::from_secs(2),
            tally,
        },
        used: Used {
            servers: match inside {
                Some(_) => vec![Duration::from_millis(6), Duration::from_millis(4)],
                None => Vec::new(),
            },
            own: Duration::from_millis(1),
            others_cores: 0.25,
        },
        inside,
    }
}

fn words(row: &Row) -> Vec<String> {
    line(row).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_row_divides_by_what_went_well() {
    let inside = Inside {
        flush_count: 50.0,
        flush_mean_micros: Some(420.0),
        entry_mean: None,
        checkpoint_count: 0.0,
        checkpoint_mean_ms: None,
    };
    let words = words(&row(100, Some(inside)));
    let expected = [
        "PUT",
        "50",
        "1.500",
        "1.500",
        "1.500",
        "0",
        "100.0",
        "10.0",
        "0.25",
        "0.500",
        "420",
        "-",
        "60.0/40.0",
    ];
    assert_eq!(words, expected);
}

#[test]
fn unknown_values_are_printed_as_a_dash() {
    let words = words(&row(100, None));
    assert_eq!((words[6].as_str(), words[9].as_str()), ("-", "-"));
    assert!(!line(&row(0, None)).contains("inf"));
}

#[test]
fn only_errors_are_a_failure() {
    assert!(print(&row(0, None)).is_err());
    assert!(print(&row(1, None)).is_ok());
}

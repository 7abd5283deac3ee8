//! The limits of the measured nodes, as environment variables.
//!
//! By default the launcher of clusters turns limits off.

/// Limits that no workload reaches: they are measured for their cost.
const OUT_OF_REACH: [(&str, &str); 15] = [
    ON,
    ("QUORATE_LIMIT_PUT_BURST", "10000000"),
    ("QUORATE_LIMIT_PUT_PER_SEC", "1000000"),
    ("QUORATE_LIMIT_NEW_KEY_BURST", "1000000"),
    ("QUORATE_LIMIT_KEY_PUT_BURST", "10000000"),
    ("QUORATE_LIMIT_TOTAL_PUT_BURST", "10000000"),
    ("QUORATE_LIMIT_TOTAL_PUT_PER_SEC", "1000000"),
    ("QUORATE_LIMIT_TOTAL_NEW_KEY_BURST", "10000000"),
    ("QUORATE_LIMIT_GET_BURST", "10000000"),
    ("QUORATE_LIMIT_GET_PER_SEC", "1000000"),
    ("QUORATE_LIMIT_TOTAL_GET_BURST", "10000000"),
    ("QUORATE_LIMIT_TOTAL_GET_PER_SEC", "1000000"),
    ("QUORATE_LIMIT_BYTE_PER_SEC", "268435456"),
    ("QUORATE_LIMIT_DNS_ANSWER_BURST", "1000000"),
    ("QUORATE_LIMIT_DNS_ANSWER_PER_SEC", "1000000"),
];

/// All other limits have their defaults.
const ON: (&str, &str) = ("QUORATE_LIMIT_ENABLED", "true");

/// Limits that are on and never reached.
pub(crate) fn out_of_reach() -> Vec<(String, String)> {
    OUT_OF_REACH.map(owned).into()
}

/// The default limits.
pub(crate) fn defaults() -> Vec<(String, String)> {
    vec![owned(ON)]
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

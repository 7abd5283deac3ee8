//! The cases, grouped by subject.

mod browsers;
mod conditions;
mod get;
mod http;
mod put;

use crate::case::{Case, Offset};

/// The current specification of pkarr's relays: `design/relays.md` of pubky/pkarr at 33cb712.
const PUT: &str = "relays.md, PUT";
const GET: &str = "relays.md, GET";
const API: &str = "relays.md, API";

/// Its last version with conditional PUTs: 6c789e2, of 2025-03-04.
const CONDITIONAL: &str = "relays.md of 2025-03, PUT";

/// Packets by age. The last two have the same second.
const OLD: Offset = 0;
const MIDDLE: Offset = 5_000_000;
const NEW: Offset = 9_000_100;
const NEWEST: Offset = 9_000_900;

/// All cases, by the headings of their tables.
pub(crate) fn all() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("PUT", put::cases()),
        ("GET", get::cases()),
        ("Conditions on a PUT", conditions::cases()),
        ("Browsers", browsers::cases()),
        ("HTTP", http::cases()),
    ]
}

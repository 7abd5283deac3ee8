//! The cases, by subject.

mod browsers;
mod conditions;
mod get;
mod http;
mod put;

use crate::case::{Case, Moment};

/// The current specification of pkarr relays: `design/relays.md` of pubky/pkarr at 33cb712.
const PUT: &str = "relays.md, PUT";
const GET: &str = "relays.md, GET";
const API: &str = "relays.md, API";

/// An older version of it, which had conditions: at 6c789e2, of 2025-03-04.
const CONDITIONAL: &str = "relays.md of 2025-03, PUT";

/// Packets by age. The last two have the same second.
const OLD: Moment = 0;
const MIDDLE: Moment = 5_000_000;
const NEW: Moment = 9_000_100;
const NEWEST: Moment = 9_000_900;

/// All of them, by the headings of the table.
pub(crate) fn all() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("PUT", put::cases()),
        ("GET", get::cases()),
        ("Conditions on a PUT", conditions::cases()),
        ("Browsers", browsers::cases()),
        ("HTTP", http::cases()),
    ]
}

//! Lanes as they are numbered on the wire and named in logs and metrics.

use quorate_rpc::Lane;

/// Every lane; each stands at its number.
pub(crate) const LANES: [Lane; 4] = [Lane::Append, Lane::Control, Lane::Forward, Lane::Snapshot];

/// The number of a lane on the wire. It never changes.
pub(crate) fn number(lane: Lane) -> u8 {
    match lane {
        Lane::Append => 0,
        Lane::Control => 1,
        Lane::Forward => 2,
        Lane::Snapshot => 3,
    }
}

/// The lane of a number.
pub(crate) fn from_number(number: u8) -> Option<Lane> {
    LANES.get(usize::from(number)).copied()
}

/// The name of a lane.
pub(crate) fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Append => "append",
        Lane::Control => "control",
        Lane::Forward => "forward",
        Lane::Snapshot => "snapshot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lanes_agree() {
        for lane in LANES {
            assert_eq!(from_number(number(lane)), Some(lane));
        }
        assert_eq!(from_number(4), None);
        assert_eq!(from_number(255), None);
    }
}

//! What DNS serves beside packets.

/// What the cluster has agreed on that DNS serves beside packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneState {}

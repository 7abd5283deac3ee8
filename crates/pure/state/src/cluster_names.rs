//! What a cluster is called among its nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 32 bytes that two clusters do not share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub [u8; 32]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of who a cluster is. Two nodes are of one cluster if they know the same of either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNames {
    /// Its id, which its first leader draws and has committed.
    pub id: Option<ClusterId>,
    /// A hash of the list of nodes that found it: it stands in for the id until that is committed.
    /// A cluster that began as one node without a list has none.
    pub founding: Option<ClusterId>,
}

impl ClusterNames {
    /// Whether both are names of one cluster.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_equal = |ours: Option<ClusterId>, theirs| ours.is_some() && ours == theirs;
        match (self.id, other.id) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => is_equal(self.founding, other.founding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(id: u8, founding: u8) -> ClusterNames {
        let name = |byte: u8| (byte != 0).then_some(ClusterId([byte; 32]));
        ClusterNames {
            id: name(id),
            founding: name(founding),
        }
    }

    #[test]
    fn ids_count_and_a_founder_that_has_heard_of_none_goes_by_the_list() {
        assert!(names(1, 0).is_same(&names(1, 2)));
        assert!(!names(1, 2).is_same(&names(3, 2)));
        assert!(names(0, 2).is_same(&names(3, 2)));
        assert!(!names(0, 2).is_same(&names(3, 4)));
        assert!(!names(0, 0).is_same(&names(0, 0)), "who is nobody");
    }
}

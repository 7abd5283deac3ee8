//! Raises the feature level on an operator's request, even if a member holds it.

use quorate_api::{Problem, ProblemType, RaisedLevel};
use quorate_state::{Command, Level, LogIndex};

use super::{admin::LeaderTask, handlers::ANY_INDEX};

impl LeaderTask<'_> {
    /// Raises the level to the highest that all members support. If some members support more than the
    /// rest and the level cannot rise, fails and names those that support less.
    pub(super) async fn raise_level(&self) -> Result<(LogIndex, RaisedLevel), Problem> {
        self.check_founded()?;
        let snapshot = self.membership_snapshot();
        let members = snapshot.membership.nodes.keys();
        let levels_by_node: Vec<_> = members
            .map(|node| (*node, self.context.gossip.level(*node)))
            .collect();
        let levels = || levels_by_node.iter().map(|(_, level)| *level);
        let (common, highest) = (levels().min().flatten(), levels().max().flatten());
        let now = self.cluster().level;
        let raised = |level: Level| RaisedLevel { level: level.0 };
        match common {
            Some(common) if common > now => {
                let (index, _) = self.commit(Command::RaiseLevel(common)).await?;
                Ok((index, raised(common)))
            }
            Some(_) if highest <= Some(now) => Ok((ANY_INDEX, raised(now))),
            _ => {
                let lacking = levels_by_node.iter().filter(|(_, level)| *level < highest);
                let lacking: Vec<_> = lacking
                    .map(|(node, level)| match level {
                        Some(level) => format!("{} supports {level}", snapshot.label(*node)),
                        None => {
                            format!("{} has not reported its level", snapshot.label(*node))
                        }
                    })
                    .collect();
                let text = format!(
                    "some members support no level above {now}: {}. Upgrade and start them first",
                    lacking.join(", ")
                );
                Err(Problem::new(ProblemType::UnsupportedLevel, text))
            }
        }
    }
}

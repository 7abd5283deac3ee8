//! Raising the feature level by an operator's wish, whoever holds it.

use quorate_api::{Problem, ProblemType, RaisedLevel};
use quorate_state::{Command, Level, LogIndex};

use super::{admin::LeaderTask, handlers::ANY_INDEX};

impl LeaderTask<'_> {
    /// Raises the level to the highest that all members support. Fails, and names who, while some member
    /// keeps it where it is that others support more.
    pub(super) async fn raise_level(&self) -> Result<(LogIndex, RaisedLevel), Problem> {
        self.check_founded()?;
        let snapshot = self.membership_snapshot();
        let members = snapshot.membership.nodes.keys();
        let told: Vec<_> = members
            .map(|node| (*node, self.parts.gossip.level(*node)))
            .collect();
        let levels = || told.iter().map(|(_, level)| *level);
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
                let lacking = told.iter().filter(|(_, level)| *level < highest);
                let lacking: Vec<_> = lacking
                    .map(|(node, level)| match level {
                        Some(level) => format!("{} supports {level}", snapshot.label(*node)),
                        None => {
                            format!("{} has not told what it supports", snapshot.label(*node))
                        }
                    })
                    .collect();
                let text = format!(
                    "not all members support more than level {now}: {}. Upgrade and start them first",
                    lacking.join(", ")
                );
                Err(Problem::new(ProblemType::UnsupportedLevel, text))
            }
        }
    }
}

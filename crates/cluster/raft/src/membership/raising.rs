//! Raising the feature level by an operator's wish, whoever holds it.

use quorate_api::{Problem, ProblemType, RaisedLevel};
use quorate_state::{Command, LogIndex};

use super::{admin::Order, order::ANY, refusals::no_leader};

impl Order<'_> {
    /// Raises the level to the highest that any member supports. Fails, and names who, while some member is
    /// not known to support that.
    pub(super) async fn raise_level(&self) -> Result<(LogIndex, RaisedLevel), Problem> {
        self.check_founded()?;
        let standing = self.standing();
        let members = standing.membership.nodes.keys();
        let told = members.map(|node| (*node, self.parts.exchange.level(*node)));
        let told: Vec<_> = told.collect();
        let highest = told.iter().filter_map(|(_, level)| *level).max();
        let wanted = highest.ok_or_else(no_leader)?;
        let lacking = told.iter().filter(|(_, level)| *level < Some(wanted));
        let lacking: Vec<_> = lacking
            .map(|(node, level)| match level {
                Some(level) => format!("{} supports {}", standing.label(*node), level.0),
                None => format!("{} has not told what it supports", standing.label(*node)),
            })
            .collect();
        if !lacking.is_empty() {
            let text = format!(
                "level {} is not supported by all members: {}. Upgrade and start them first",
                wanted.0,
                lacking.join(", ")
            );
            return Err(Problem::new(ProblemType::UnsupportedLevel, text));
        }
        let raised = RaisedLevel { level: wanted.0 };
        if self.cluster().level >= wanted {
            return Ok((ANY, raised));
        }
        let (index, _) = self.commit(Command::RaiseLevel(wanted)).await?;
        Ok((index, raised))
    }
}

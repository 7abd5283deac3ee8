//! Tables in Markdown: which relay follows which source.

use crate::case::Requirement;

/// The result of a case with a relay.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Follows,
    /// With a description of the difference.
    Differs(String),
    NotTested,
}

/// A case, and the result of each relay, Quorate first.
pub(crate) struct Row {
    pub(crate) claim: &'static str,
    pub(crate) source: &'static str,
    pub(crate) requirement: Requirement,
    /// The reason if Quorate differs on purpose.
    pub(crate) purpose: Option<&'static str>,
    pub(crate) verdicts: Vec<Verdict>,
}

impl From<anyhow::Result<()>> for Verdict {
    fn from(result: anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Follows,
            Err(error) => Self::Differs(format!("{error:#}")),
        }
    }
}

impl Row {
    /// Why Quorate fails this case, if it does.
    pub(crate) fn fault(&self) -> Option<String> {
        let claim = self.claim;
        match (&self.verdicts[0], self.purpose, self.requirement) {
            (Verdict::Differs(difference), None, Requirement::Must | Requirement::Should) => {
                Some(format!("{claim}: {difference}"))
            }
            (Verdict::Follows, Some(_), _) => Some(format!(
                "{claim}: Quorate follows it, but the case states a reason why it differs"
            )),
            _ => None,
        }
    }

    fn line(&self) -> String {
        let requirement = match self.requirement {
            Requirement::Must => "must",
            Requirement::Should => "should",
            Requirement::May => "may",
        };
        let cells: Vec<_> = self.verdicts.iter().map(|verdict| verdict.cell()).collect();
        let mark = match self.purpose {
            Some(_) => " \\*",
            None => "",
        };
        format!(
            "| {}{mark} | {}, {requirement} | {} |",
            self.claim,
            self.source,
            cells.join(" | ")
        )
    }
}

impl Verdict {
    fn cell(&self) -> &'static str {
        match self {
            Self::Follows => "yes",
            Self::Differs(_) => "**no**",
            Self::NotTested => "",
        }
    }
}

/// Prints a table, and the reasons why Quorate differs on purpose.
pub(crate) fn print(heading: &str, servers: &[&str], rows: &[Row]) {
    let columns = servers.join(" | ");
    println!("## {heading}\n\n| | asked by | {columns} |");
    println!("|---|---|{}", "---|".repeat(servers.len()));
    for row in rows {
        println!("{}", row.line());
    }
    println!();
    for row in rows {
        if let Some(reason) = row.purpose {
            println!("\\* {}: {reason}\n", row.claim);
        }
    }
}

/// Prints the differences from the sources to standard error.
pub(crate) fn print_differences(servers: &[&str], rows: &[Row]) {
    for row in rows {
        for (server, verdict) in servers.iter().zip(&row.verdicts) {
            if let Verdict::Differs(difference) = verdict {
                eprintln!("{server}: {}: {difference}", row.claim);
            }
        }
    }
}

/// Prints how many of the "must" and "should" cases each relay follows.
pub(crate) fn print_sums(servers: &[&str], rows: &[Row]) {
    let required: Vec<_> = rows
        .iter()
        .filter(|row| row.requirement != Requirement::May)
        .collect();
    for (number, server) in servers.iter().enumerate() {
        let of = |is: fn(&Verdict) -> bool| {
            let verdicts = required.iter().map(|row| &row.verdicts[number]);
            verdicts.filter(|verdict| is(verdict)).count()
        };
        let follows = of(|verdict| matches!(verdict, Verdict::Follows));
        let all = of(|verdict| !matches!(verdict, Verdict::NotTested));
        println!("- {server} follows {follows} of {all} that must or should be so.");
    }
    let marked = required.iter().filter(|row| row.purpose.is_some()).count();
    println!("- {marked} are marked \\*: Quorate does otherwise on purpose.\n");
}

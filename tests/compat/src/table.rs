//! Who follows what, as a table in Markdown.

use crate::case::Requirement;

/// What a relay made of a case.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Follows,
    /// With what it did instead.
    Differs(String),
    NotTested,
}

/// A case, and what each relay made of it, ours first.
pub(crate) struct Row {
    pub(crate) claim: &'static str,
    pub(crate) source: &'static str,
    pub(crate) requirement: Requirement,
    /// Why ours does otherwise, if it does on purpose.
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
    /// What is wrong with the result of Quorate, or with its mark.
    pub(crate) fn fault(&self) -> Option<String> {
        let claim = self.claim;
        match (&self.verdicts[0], self.purpose, self.requirement) {
            (Verdict::Differs(what), None, Requirement::Must | Requirement::Should) => {
                Some(format!("{claim}: {what}"))
            }
            (Verdict::Follows, Some(_), _) => Some(format!(
                "{claim}: it is met, although it is marked as different"
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

/// Prints a table, and below it the reasons of differences on purpose.
pub(crate) fn print(heading: &str, servers: &[&str], rows: &[Row]) {
    let columns = servers.join(" | ");
    println!("## {heading}\n\n| | required by | {columns} |");
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

/// Prints how servers differ from the requirements.
pub(crate) fn print_differences(servers: &[&str], rows: &[Row]) {
    for row in rows {
        for (server, verdict) in servers.iter().zip(&row.verdicts) {
            if let Verdict::Differs(what) = verdict {
                eprintln!("{server}: {}: {what}", row.claim);
            }
        }
    }
}

/// Prints how many of the requirements (must and should) each relay meets.
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
        println!("- {server} meets {follows} of {all} requirements (must and should).");
    }
    let marked = required.iter().filter(|row| row.purpose.is_some()).count();
    println!("- {marked} are marked \\*: Quorate differs on purpose.\n");
}

//! What `quorate recover` prints.

use std::fmt::Write as _;

use quorate_api::cluster_name;
use quorate_ctl::date;
use quorate_recovery::{Assessment, Completeness, Recovered, Salvaged, Summary};
use quorate_state::LogPosition;

/// A position as `term-index`, as in `quorate log inspect`.
fn at(position: Option<LogPosition>) -> String {
    position.map_or("none".to_owned(), |at| format!("{}-{}", at.term, at.index))
}

pub(super) fn text_of(summary: &Summary) -> String {
    let mut text = format!("{}\n", summary.dir);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<14} {value}");
    };
    line(
        "node",
        summary.node.clone().unwrap_or_else(|| "unknown".to_owned()),
    );
    line(
        "cluster",
        match &*summary.cluster {
            "" => "unknown".to_owned(),
            id => cluster_name(id).to_owned(),
        },
    );
    line(
        "vote",
        match &summary.vote {
            Some(vote) => format!("term {} for {}", vote.term, vote.node),
            None => "none".to_owned(),
        },
    );
    line(
        "packets",
        format!(
            "{} as of entry {}",
            summary.packet_count,
            at(summary.applied)
        ),
    );
    line("committed", format!("{} at least", at(summary.committed)));
    line(
        "last entry",
        match summary.cluster_time_ms {
            Some(time) => format!("{}, of {}", at(summary.last), date(time)),
            None => at(summary.last),
        },
    );
    if summary.uncommitted_packets > 0 {
        line(
            "only in the log",
            format!(
                "{} packets, which may be committed or not",
                summary.uncommitted_packets
            ),
        );
    }
    if let Some(unreachable) = summary.unreachable {
        line(
            "unreadable",
            format!("entries up to {}", at(Some(unreachable))),
        );
    }
    for damage in [&summary.log_damage, &summary.store_damage]
        .into_iter()
        .flatten()
    {
        line("damage", damage.clone());
    }
    text
}

/// What the survivors have, which one is the best, what may be lost, and what may appear.
pub(super) fn report(all: &[&Summary], assessment: Option<&Assessment>, salvages: bool) -> String {
    let mut text: String = all.iter().map(|summary| text_of(summary)).collect();
    let Some(assessment) = assessment else {
        return text;
    };
    let Assessment {
        voter_count,
        survivor_count,
        ..
    } = *assessment;
    let best = all[assessment.best];
    let _ = writeln!(
        text,
        "\nThe best survivor is {}: its last readable entry is {}.",
        best.dir,
        at(best.last)
    );
    if let Some((place, position)) = assessment.unreadable {
        let _ = writeln!(
            text,
            "{} has a later entry, {}, which cannot be read: what is only there is lost.",
            all[place].dir,
            at(Some(position))
        );
    }
    if assessment.is_majority {
        let _ = writeln!(
            text,
            "{survivor_count} of {voter_count} voters survive, which is a majority: you need no new cluster. Start \
             them, and replace the others with `quorate member replace`."
        );
    }
    let _ = match assessment.is_complete {
        // What is found then says how much that is.
        _ if salvages => Ok(()),
        true => writeln!(
            text,
            "No acknowledged packet is lost: {survivor_count} of {voter_count} voters survive, and every majority has one of them."
        ),
        false => writeln!(
            text,
            "May be lost: what was acknowledged without the survivors. {survivor_count} of {voter_count} voters \
             survive; packets since {} may be among it.",
            best.cluster_time_ms
                .map_or_else(|| "an unknown time".to_owned(), date)
        ),
    };
    if let Some((place, position)) = assessment.committed_elsewhere {
        let _ = writeln!(
            text,
            "{} knew that entry {} was committed, and the best survivor may lack it.",
            all[place].dir,
            at(Some(position))
        );
    }
    if best.uncommitted_packets > 0 {
        let _ = writeln!(
            text,
            "May appear although their publishers were perhaps never told that they are stored: {} packets.",
            best.uncommitted_packets
        );
    }
    text
}

pub(super) fn recovered_text(recovered: &Recovered) -> String {
    let mut text = format!(
        "\n{} packets, as of entry {} of the old cluster",
        recovered.packets.usage.count,
        at(recovered.last)
    );
    if let Some(stopped) = &recovered.stopped {
        let _ = write!(
            text,
            "\nNot applied: everything after that entry: {stopped}"
        );
    }
    text
}

pub(super) fn salvaged_text(salvaged: &Salvaged) -> String {
    let mut text = format!(
        "\n{} packets with a valid signature",
        salvaged.packets.usage.count
    );
    let _ = match salvaged.completeness {
        Completeness::Whole(position) => write!(
            text,
            "\nWhole: these are all packets as of entry {}, and what can be read of later ones",
            at(Some(position))
        ),
        Completeness::Missing(0, position) => write!(
            text,
            "\nPackets may be missing: they differ from the summary as of entry {}",
            at(Some(position))
        ),
        Completeness::Missing(count, position) => write!(
            text,
            "\nMissing: at least {count} of the packets as of entry {}, and perhaps later ones",
            at(Some(position))
        ),
        Completeness::Unknown => write!(
            text,
            "\nPackets may be missing: no directory has a readable summary of them"
        ),
    };
    if salvaged.invalid_count > 0 {
        let _ = write!(
            text,
            "\nLeft out: {} without a valid signature",
            salvaged.invalid_count
        );
    }
    if salvaged.missing_entries > 0 {
        let _ = write!(
            text,
            "\nMissing: {} later entries, which cannot be read, with their packets and changes",
            salvaged.missing_entries
        );
    }
    let _ = match salvaged.applied {
        Some(_) if salvaged.missing_entries == 0 => Ok(()),
        Some(applied) => write!(
            text,
            "\nZones, publish policy and deletions as of entry {}, with the later changes that can be read",
            at(Some(applied))
        ),
        None => write!(
            text,
            "\nZones, publish policy and deletions: only the changes that can be read in the log. Check them \
             before you serve"
        ),
    };
    text
}

//! Saying what is in the files of a log, damaged or not.

use std::{fmt, io, path::Path};

use quorate_disk::{Disk, OpenMode};
use quorate_state::LogPosition;

use crate::{
    LogError,
    base::Item,
    block::{Block, BlockKind, Header, Pair},
    group::{BadGroup, GROUP_ALIGNMENT, Group, Link},
    recovery::Files,
    segment::{SEGMENT_HEADER_SIZE, Segment},
    synced::{SYNCED_FILE, Synced},
    vote::{SavedVote, VOTE_FILE},
};

/// Says on `out` what is in the files of the log in `dir`: headers, votes, synced positions, and of
/// each group the positions in it and the sizes of payloads, but no contents. Says what is wrong
/// and where, and goes on behind it. Changes nothing, and does not take the log: of one in use the
/// end may look torn.
///
/// Fails when the directory cannot be read, or `out` fails.
pub fn inspect(disk: &dyn Disk, dir: &Path, out: &mut impl io::Write) -> Result<(), LogError> {
    let files = Files::list(disk, dir)?;
    let mut inspection = Inspection {
        disk,
        dir,
        out,
        log_id: None,
        link: None,
    };
    inspection.pair(VOTE_FILE, BlockKind::Vote, |body| {
        SavedVote::parse(body).map(vote_text)
    })?;
    let mut synced_number = 0;
    inspection.pair(SYNCED_FILE, BlockKind::Synced, |body| {
        let Synced { segment, end, link } = Synced::parse(body)?;
        synced_number = link.number.max(synced_number);
        let number = link.number;
        Some(format!("group {number}, to segment {segment} at {end}"))
    })?;
    let mut expected = files.segments.first().copied().unwrap_or(1);
    for number in files.segments {
        if number != expected {
            inspection.say(format_args!("WRONG: segment {expected} is missing"))?;
        }
        inspection.segment(number)?;
        expected = number + 1;
    }
    let number = inspection.link.map_or(0, |link| link.number);
    if number < synced_number {
        inspection.say(format_args!(
            "WRONG: group {synced_number} was synced, and {number} is the last"
        ))?;
    }
    Ok(())
}

struct Inspection<'a, W> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    out: &'a mut W,
    /// As the first undamaged block says.
    log_id: Option<u64>,
    /// The last group.
    link: Option<Link>,
}

impl<W: io::Write> Inspection<'_, W> {
    fn say(&mut self, line: fmt::Arguments<'_>) -> Result<(), LogError> {
        writeln!(self.out, "{line}").map_err(LogError::io(self.dir))
    }

    fn wrong_at(&mut self, offset: u64, wrong: &dyn fmt::Display) -> Result<(), LogError> {
        self.say(format_args!("  at {offset}: WRONG: {wrong}"))
    }

    /// Says what stands in a file of two blocks.
    fn pair(
        &mut self,
        name: &str,
        kind: BlockKind,
        mut text: impl FnMut(&[u8]) -> Option<String>,
    ) -> Result<(), LogError> {
        let path = self.dir.join(name);
        let copies = match Pair::read(self.disk, &path, kind, OpenMode::Read) {
            Ok((_, copies)) => copies,
            Err(error) => return self.say(format_args!("{name}: WRONG: {error}")),
        };
        for (place, copy) in copies.into_iter().enumerate() {
            let found = self.block(copy).and_then(|block| {
                let text = text(&block.body).ok_or("unknown body")?;
                Ok(format!("number {}, {text}", block.number))
            });
            self.say(format_args!("{name} {place}: {}", or_wrong(found)))?;
        }
        Ok(())
    }

    /// The block, or what is wrong with it.
    fn block(&mut self, block: Header) -> Result<Block, String> {
        let block = block.map_err(|bad| bad.to_string())?;
        match *self.log_id.get_or_insert(block.log_id) == block.log_id {
            true => Ok(block),
            false => Err("it belongs to another log".to_owned()),
        }
    }

    fn segment(&mut self, number: u64) -> Result<(), LogError> {
        let (segment, header) = Segment::open(self.disk, self.dir, number, OpenMode::Read)?;
        let found = self.block(header).and_then(|block| match block.number {
            found if found == number => Ok(format!("{} bytes", segment.size)),
            found => Err(format!("it is segment {found}")),
        });
        self.say(format_args!("segment {number}: {}", or_wrong(found)))?;
        let Some(log_id) = self.log_id else {
            return self.say(format_args!("  WRONG: no block tells the id of the log"));
        };
        self.groups(log_id, &segment)
    }

    /// Says what each group holds, and tries every boundary where there is none.
    fn groups(&mut self, log_id: u64, segment: &Segment) -> Result<(), LogError> {
        let mut buffer = Vec::new();
        let mut offset = SEGMENT_HEADER_SIZE;
        while offset < segment.size {
            let end = match segment.read_group(log_id, offset, &mut buffer) {
                Ok(Ok(group)) => self.group(offset, &group)?,
                Ok(Err(BadGroup::None)) => None,
                Ok(Err(bad)) => self.wrong_at(offset, &bad).map(|()| None)?,
                Err(error) => self.wrong_at(offset, &error).map(|()| None)?,
            };
            offset = end.unwrap_or(offset + GROUP_ALIGNMENT as u64);
        }
        Ok(())
    }

    /// Says what a group holds, and gives its end; nothing of one from an earlier use.
    fn group(&mut self, offset: u64, group: &Group) -> Result<Option<u64>, LogError> {
        let (link, size) = (group.header.link, group.header.size());
        if let Some(last) = self.link {
            if link.number <= last.number {
                return Ok(None);
            }
            if let Err(bad) = group.check_follows(last) {
                self.wrong_at(offset, &bad)?;
            }
        }
        self.link = Some(link);
        let items = group.items.iter().map(|(_, item)| item_text(item));
        let items: String = items.map(|text| format!("; {text}")).collect();
        let number = link.number;
        self.say(format_args!(
            "  group {number} at {offset}, {size} bytes{items}"
        ))?;
        Ok(Some(offset + size as u64))
    }
}

fn or_wrong(found: Result<String, String>) -> String {
    found.unwrap_or_else(|wrong| format!("WRONG: {wrong}"))
}

fn vote_text(vote: Option<SavedVote>) -> String {
    let Some(vote) = vote else {
        return "no vote".to_owned();
    };
    let state = match vote.committed {
        true => "committed",
        false => "not committed",
    };
    let node: String = vote.node.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("term {}, {state}, node {node}", vote.term)
}

fn position_text(position: Option<LogPosition>) -> String {
    match position {
        Some(LogPosition { term, index }) => format!("{term}-{index}"),
        None => "none".to_owned(),
    }
}

fn item_text(item: &Item) -> String {
    let at = |position| position_text(Some(position));
    match item {
        Item::Base(base) => {
            let [last, purged, committed] =
                [base.last, base.purged, base.committed].map(position_text);
            format!("base: last {last}, purged {purged}, committed {committed}")
        }
        Item::Entry(position, payload) => {
            format!("entry {} of {} bytes", at(*position), payload.len())
        }
        Item::Truncate(keep) => format!("truncated after {}", position_text(*keep)),
        Item::Purge(upto) => format!("purged up to {}", at(*upto)),
        Item::Committed(position) => format!("committed {}", at(*position)),
    }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;

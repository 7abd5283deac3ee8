//! Printing what is in the files of a log, damaged or not.

use std::{fmt, io, path::Path};

use quorate_disk::{Disk, OpenMode};
use quorate_packet::PublicKey;
use quorate_state::{LogPosition, NodeId};

use crate::{
    LogError,
    block::{Block, BlockKind, BlockPair, BlockResult},
    bounds::Item,
    group::{BadGroup, GROUP_ALIGNMENT, Group, GroupId},
    recovery::LogFiles,
    segment::{SEGMENT_HEADER_SIZE, Segment},
    synced_position::{SYNCED_FILE, SyncedPosition},
    vote::{SavedVote, VOTE_FILE},
};

/// Writes to `out` what is in the files of the log in `dir`: headers, votes, synced positions, and
/// for each group its positions and the sizes of payloads, but not their content. Reports damage
/// with its location, and continues after it. Changes nothing and locks nothing: the end of a log
/// that is in use may look torn.
///
/// Fails when the directory cannot be read, or `out` fails.
pub fn inspect(disk: &dyn Disk, dir: &Path, out: &mut impl io::Write) -> Result<(), LogError> {
    let files = LogFiles::list(disk, dir)?;
    let mut inspection = Inspection {
        disk,
        dir,
        out,
        log_id: None,
        last_group: None,
    };
    inspection.block_pair(VOTE_FILE, BlockKind::Vote, |body| {
        SavedVote::parse(body).map(vote_text)
    })?;
    let mut synced_number = 0;
    inspection.block_pair(SYNCED_FILE, BlockKind::SyncedPosition, |body| {
        let SyncedPosition {
            segment,
            end,
            last_group,
        } = SyncedPosition::parse(body)?;
        synced_number = last_group.number.max(synced_number);
        let number = last_group.number;
        Some(format!("group {number}, to segment {segment} at {end}"))
    })?;
    let mut expected = files.segments.first().copied().unwrap_or(1);
    for number in files.segments {
        if number != expected {
            inspection.print(format_args!("WRONG: segment {expected} is missing"))?;
        }
        inspection.segment(number)?;
        expected = number + 1;
    }
    let number = inspection.last_group.map_or(0, |group| group.number);
    if number < synced_number {
        inspection.print(format_args!(
            "WRONG: group {synced_number} was synced, but the last one is {number}"
        ))?;
    }
    Ok(())
}

struct Inspection<'a, W> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    out: &'a mut W,
    /// The id in the first undamaged block.
    log_id: Option<u64>,
    /// The last group read.
    last_group: Option<GroupId>,
}

impl<W: io::Write> Inspection<'_, W> {
    fn print(&mut self, line: fmt::Arguments<'_>) -> Result<(), LogError> {
        writeln!(self.out, "{line}").map_err(LogError::io(self.dir))
    }

    fn print_wrong(&mut self, offset: u64, wrong: &dyn fmt::Display) -> Result<(), LogError> {
        self.print(format_args!("  at {offset}: WRONG: {wrong}"))
    }

    /// Prints what is in a file of two blocks.
    fn block_pair(
        &mut self,
        name: &str,
        kind: BlockKind,
        mut text: impl FnMut(&[u8]) -> Option<String>,
    ) -> Result<(), LogError> {
        let path = self.dir.join(name);
        let copies = match BlockPair::read(self.disk, &path, kind, OpenMode::Read) {
            Ok((_, copies)) => copies,
            Err(error) => return self.print(format_args!("{name}: WRONG: {error}")),
        };
        for (slot, copy) in copies.into_iter().enumerate() {
            let found = self.block(copy).and_then(|block| {
                let text = text(&block.body).ok_or("unknown body")?;
                Ok(format!("number {}, {text}", block.number))
            });
            self.print(format_args!("{name} {slot}: {}", or_wrong(found)))?;
        }
        Ok(())
    }

    /// The block, or what is wrong with it.
    fn block(&mut self, block: BlockResult) -> Result<Block, String> {
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
        self.print(format_args!("segment {number}: {}", or_wrong(found)))?;
        let Some(log_id) = self.log_id else {
            return self.print(format_args!(
                "  WRONG: the id of the log is unknown: all blocks are damaged"
            ));
        };
        self.groups(log_id, &segment)
    }

    /// Prints each group. Where there is none, tries the next aligned offset.
    fn groups(&mut self, log_id: u64, segment: &Segment) -> Result<(), LogError> {
        let mut buffer = Vec::new();
        let mut offset = SEGMENT_HEADER_SIZE;
        while offset < segment.size {
            let end = match segment.read_group(log_id, offset, &mut buffer) {
                Ok(Ok(group)) => self.group(offset, &group)?,
                Ok(Err(BadGroup::None)) => None,
                Ok(Err(bad)) => self.print_wrong(offset, &bad).map(|()| None)?,
                Err(error) => self.print_wrong(offset, &error).map(|()| None)?,
            };
            offset = end.unwrap_or(offset + GROUP_ALIGNMENT as u64);
        }
        Ok(())
    }

    /// Prints a group and returns its end. Skips a group from an earlier use of the segment.
    fn group(&mut self, offset: u64, group: &Group) -> Result<Option<u64>, LogError> {
        let (id, size) = (group.header.id, group.header.size());
        if let Some(last) = self.last_group {
            if id.number <= last.number {
                return Ok(None);
            }
            if let Err(bad) = group.check_follows(last) {
                self.print_wrong(offset, &bad)?;
            }
        }
        self.last_group = Some(id);
        let items = group.items.iter().map(|(_, item)| item_text(item));
        let items: String = items.map(|text| format!("; {text}")).collect();
        let number = id.number;
        self.print(format_args!(
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
    let node = NodeId(PublicKey::from_bytes(vote.node));
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
        Item::Bounds(bounds) => {
            let [last, purged, committed] =
                [bounds.last, bounds.purged, bounds.committed].map(position_text);
            format!("bounds: last {last}, purged {purged}, committed {committed}")
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

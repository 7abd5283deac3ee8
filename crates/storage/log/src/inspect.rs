//! Saying what is in the files of a log, damaged or not.

use std::{
    fmt::{self, Write as _},
    io,
    path::Path,
};

use quorate_disk::{Disk, OpenMode};
use quorate_state::LogPosition;

use crate::{
    LogError,
    base::Item,
    block::{BadBlock, Block, BlockKind, Pair},
    group::{BadGroup, GROUP_ALIGNMENT, Group, Link},
    recovery::Files,
    segment::{Header, SEGMENT_HEADER_SIZE, Segment},
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
        SavedVote::parse(body).map(|vote| Text(vote).to_string())
    })?;
    let mut synced_number = 0;
    inspection.pair(SYNCED_FILE, BlockKind::Synced, |body| {
        let synced = Synced::parse(body)?;
        synced_number = synced.link.number.max(synced_number);
        Some(Text(synced).to_string())
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
        let what =
            format_args!("WRONG: group {synced_number} was synced, and {number} is the last");
        inspection.say(what)?;
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

    /// Says what stands in a file of two blocks.
    fn pair(
        &mut self,
        name: &str,
        kind: BlockKind,
        mut text: impl FnMut(&[u8]) -> Option<String>,
    ) -> Result<(), LogError> {
        let pair = Pair::open(self.disk, &self.dir.join(name), kind, OpenMode::Read);
        let copies = match pair.and_then(|pair| pair.read()) {
            Ok(copies) => copies,
            Err(LogError::Io { source, .. }) => {
                return self.say(format_args!("{name}: WRONG: {source}"));
            }
            Err(other) => return Err(other),
        };
        for (place, copy) in copies.into_iter().enumerate() {
            let (number, text) = match &copy {
                Ok(block) => (block.number, text(&block.body)),
                Err(_) => (0, None),
            };
            match (self.header(copy), text) {
                (Err(wrong), _) => self.say(format_args!("{name} {place}: WRONG: {wrong}"))?,
                (Ok(()), None) => self.say(format_args!("{name} {place}: WRONG: unknown body"))?,
                (Ok(()), Some(text)) => {
                    self.say(format_args!("{name} {place}: number {number}, {text}"))?;
                }
            }
        }
        Ok(())
    }

    /// What is wrong with a block, beside its number.
    fn header(&mut self, header: Result<Block, BadBlock>) -> Result<(), String> {
        let block = header.map_err(|bad| bad.to_string())?;
        match *self.log_id.get_or_insert(block.log_id) == block.log_id {
            true => Ok(()),
            false => Err("it belongs to another log".to_owned()),
        }
    }

    fn segment(&mut self, number: u64) -> Result<(), LogError> {
        let (segment, header) = Segment::open(self.disk, self.dir, number, OpenMode::Read)?;
        let size = segment.size;
        match self.segment_header(number, header) {
            Ok(()) => self.say(format_args!("segment {number}: {size} bytes"))?,
            Err(wrong) => self.say(format_args!("segment {number}: WRONG: {wrong}"))?,
        }
        let Some(log_id) = self.log_id else {
            return self.say(format_args!("  WRONG: no block tells the id of the log"));
        };
        self.groups(log_id, &segment)
    }

    fn segment_header(&mut self, number: u64, header: Header) -> Result<(), String> {
        let found = header.as_ref().map(|block| block.number);
        self.header(header.clone())?;
        match found {
            Ok(found) if found != number => Err(format!("it is segment {found}")),
            _ => Ok(()),
        }
    }

    /// Says what each group holds, and tries every boundary where there is none.
    fn groups(&mut self, log_id: u64, segment: &Segment) -> Result<(), LogError> {
        let mut buffer = Vec::new();
        let mut offset = SEGMENT_HEADER_SIZE;
        while offset < segment.size {
            let file = segment.file.as_ref();
            let next = match Group::read(log_id, file, offset, segment.size, &mut buffer) {
                Ok(Ok(group)) => self.group(offset, &group)?,
                Ok(Err(BadGroup::None)) => None,
                Ok(Err(bad)) => {
                    self.say(format_args!("  at {offset}: WRONG: {bad}"))?;
                    None
                }
                Err(error) => {
                    self.say(format_args!("  at {offset}: WRONG: {error}"))?;
                    None
                }
            };
            offset = next.unwrap_or(offset + GROUP_ALIGNMENT as u64);
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
                self.say(format_args!("  at {offset}: WRONG: {bad}"))?;
            }
        }
        self.link = Some(link);
        let mut items = String::new();
        for (_, item) in &group.items {
            // Writing into a string never fails.
            let _ = write!(items, "; {}", Text(item));
        }
        let number = link.number;
        self.say(format_args!(
            "  group {number} at {offset}, {size} bytes{items}"
        ))?;
        Ok(Some(offset + size as u64))
    }
}

struct Text<T>(T);

impl fmt::Display for Text<Option<SavedVote>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(vote) = &self.0 else {
            return write!(f, "no vote");
        };
        let state = if vote.committed {
            "committed"
        } else {
            "not committed"
        };
        write!(f, "term {}, {state}, node ", vote.term)?;
        vote.node
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Text<Synced> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Synced { segment, end, link } = self.0;
        write!(f, "group {}, to segment {segment} at {end}", link.number)
    }
}

impl fmt::Display for Text<Option<LogPosition>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(position) => write!(f, "{}-{}", position.term, position.index),
            None => write!(f, "none"),
        }
    }
}

impl fmt::Display for Text<&Item> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Item::Base(base) => write!(
                f,
                "base: last {}, purged {}, committed {}",
                Text(base.last),
                Text(base.purged),
                Text(base.committed)
            ),
            Item::Entry(position, payload) => {
                write!(
                    f,
                    "entry {} of {} bytes",
                    Text(Some(*position)),
                    payload.len()
                )
            }
            Item::Truncate(keep) => write!(f, "truncated after {}", Text(*keep)),
            Item::Purge(upto) => write!(f, "purged up to {}", Text(Some(*upto))),
            Item::Committed(position) => write!(f, "committed {}", Text(Some(*position))),
        }
    }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;

//! Opening a log: a synced group must be there, an unsynced one counts if it is complete.
//!
//! The synced position K means that the groups up to K were durable. Recovery reads group after
//! group and checks number and checksum. Let N be the first group that is missing or invalid:
//!
//! | case | meaning |
//! |---|---|
//! | N ≤ K | damage: N was durable |
//! | N > K, and there is a group after N | damage: N+1 is written only after N was synced |
//! | N > K, and there is none | a write of N was interrupted: the next append writes a new group N |
//!
//! Complete groups after K are written again, with the same bytes, and synced before they count:
//! after a failed sync the kernel returns bytes that the disk may not have. Recovery writes nothing
//! else into the files it reads. So it can be interrupted at any point and run again.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use quorate_disk::{Disk, DiskFile, OpenMode, dir_of};

use crate::{
    LogConfig, LogError,
    block::BlockResult,
    chain::{Chain, MissingGroup},
    group::{GROUP_ALIGNMENT, GroupHeader, GroupId},
    index::Index,
    injected_fault::InjectedFault,
    segment::{
        SEGMENT_HEADER_SIZE, SPARE_EXTENSION, Segment, SegmentUsage, segment_number, segment_path,
    },
    synced_position::{SYNCED_FILE, SyncedFile, SyncedPosition},
    vote::{VOTE_FILE, VoteFile},
};

/// The file that the process locks.
pub(crate) const LOCK_FILE: &str = "lock";

/// How many bytes are read at a time to search the end of a log, or to write groups again.
const PIECE_SIZE: u64 = 1024 * 1024;

pub(crate) struct RecoveredLog {
    pub(crate) lock: Arc<dyn DiskFile>,
    pub(crate) vote_file: VoteFile,
    pub(crate) synced_file: SyncedFile,
    pub(crate) index: Index,
    pub(crate) segments: VecDeque<SegmentUsage>,
    pub(crate) last_group: GroupId,
    /// Spare segment files.
    pub(crate) spares: Vec<PathBuf>,
}

/// Opens the log, or creates it. Fails when it is damaged or in use.
pub(crate) fn recover(config: &LogConfig) -> Result<RecoveredLog, LogError> {
    let (disk, dir) = (config.disk.as_ref(), config.dir.as_path());
    let lock = lock_dir(disk, dir)?;
    let mut files = LogFiles::list(disk, dir)?;
    if files.segments.is_empty() {
        create(config)?;
        files = LogFiles::list(disk, dir)?;
    }
    let (vote_file, vote) = open_file(dir, VOTE_FILE, || VoteFile::open(disk, dir))?;
    let (mut synced_file, synced) = open_file(dir, SYNCED_FILE, || SyncedFile::open(disk, dir))?;
    if synced_file.pair.log_id != vote_file.pair.log_id {
        let what = "it belongs to another log than the vote file";
        return Err(LogError::damaged(&synced_file.pair.path, 0, what));
    }

    let segments = open_segments(disk, dir, &files.segments)?;
    let mut chain = Chain::new(
        vote_file.pair.log_id,
        segments,
        synced,
        Index::new(config.cache_size_max),
    );
    let end = chain.follow()?;
    if !config.has(InjectedFault::CutBelowSynced) {
        check_end(&chain, end, synced_file.pair.is_damaged)?;
    }
    chain.check_first_entry()?;

    vote_file
        .rewrite(vote)
        .map_err(LogError::io(&vote_file.pair.path))?;
    chain.unsynced.iter().try_for_each(|(segment, range)| {
        let segment = &chain.segments[*segment].segment;
        rewrite(segment.file.as_ref(), range.clone()).map_err(LogError::io(&segment.path))
    })?;
    // Twice, to repair a damaged slot.
    let end = chain.end();
    (synced_file.write(end).and_then(|()| synced_file.write(end)))
        .and_then(|()| synced_file.pair.file.sync_data())
        .map_err(LogError::io(&synced_file.pair.path))?;

    let spares = files.spares;
    let (mut index, last_group, segments, unused) = chain.into_parts();
    index.vote = vote;
    let spares = collect_spares(config, spares, unused)?;
    Ok(RecoveredLog {
        lock,
        vote_file,
        synced_file,
        index,
        segments,
        last_group,
        spares,
    })
}

/// Creates the directory if absent, and locks it for this process.
fn lock_dir(disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>, LogError> {
    disk.create_dir(dir)
        .and_then(|()| disk.sync_dir(&dir_of(dir)))
        .map_err(LogError::io(dir))?;
    let path = dir.join(LOCK_FILE);
    let lock = disk.open(&path, OpenMode::Create);
    let lock = lock.map_err(LogError::io(&path))?;
    match lock.try_lock().map_err(LogError::io(&path))? {
        true => Ok(lock),
        false => Err(LogError::Locked { dir: dir.into() }),
    }
}

/// The files in the directory of a log.
pub(crate) struct LogFiles {
    /// The numbers of the segments, sorted.
    pub(crate) segments: Vec<u64>,
    pub(crate) spares: Vec<PathBuf>,
    has_vote: bool,
    has_synced: bool,
}

impl LogFiles {
    pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Self, LogError> {
        let names = disk.list(dir).map_err(LogError::io(dir))?;
        let mut files = Self {
            segments: Vec::new(),
            spares: Vec::new(),
            has_vote: false,
            has_synced: false,
        };
        for name in names {
            files.has_vote |= name == VOTE_FILE;
            files.has_synced |= name == SYNCED_FILE;
            let path = dir.join(name);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(SPARE_EXTENSION) => files.spares.push(path),
                _ => files.segments.extend(segment_number(&path)),
            }
        }
        files.segments.sort_unstable();
        Ok(files)
    }
}

/// Creates a log, or completes an interrupted creation. The first segment gets its name last, and
/// nothing is written before that. So a vote or a synced position without a segment is damage.
fn create(config: &LogConfig) -> Result<(), LogError> {
    let (disk, dir) = (config.disk.as_ref(), config.dir.as_path());
    let missing = || LogError::damaged(dir, 0, "all segments are missing, but the log was used");
    let files = LogFiles::list(disk, dir)?;
    let log_id = match files.has_vote {
        true => {
            let (file, vote) = VoteFile::open(disk, dir)?;
            if vote.is_some() {
                return Err(missing());
            }
            file.pair.log_id
        }
        false if files.has_synced => return Err(missing()),
        false => {
            let log_id = RandomState::new().hash_one(dir);
            VoteFile::create(disk, dir, log_id)?;
            log_id
        }
    };
    match files.has_synced {
        true if SyncedFile::open(disk, dir)?.1 != SyncedPosition::default() => {
            return Err(missing());
        }
        true => {}
        false => SyncedFile::create(disk, dir, log_id)?,
    }
    let spare = segment_path(dir, 1).with_extension(SPARE_EXTENSION);
    Segment::create(disk, dir, &spare, 1, config.segment_size(), log_id, true)
        .and_then(|_| disk.sync_dir(dir))
        .map_err(LogError::io(dir))
}

/// Opens a file that every log has: if it is missing, that is damage.
fn open_file<T>(
    dir: &Path,
    name: &str,
    open: impl Fn() -> Result<T, LogError>,
) -> Result<T, LogError> {
    open().map_err(|error| match error {
        LogError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            LogError::damaged(&dir.join(name), 0, "the file is missing")
        }
        other => other,
    })
}

fn open_segments(
    disk: &dyn Disk,
    dir: &Path,
    numbers: &[u64],
) -> Result<Vec<(Arc<Segment>, BlockResult)>, LogError> {
    let mut segments = Vec::new();
    for (number, expected) in numbers.iter().zip(numbers[0]..) {
        if *number != expected {
            let path = segment_path(dir, expected);
            return Err(LogError::damaged(&path, 0, "the segment is missing"));
        }
        let (segment, header) = Segment::open(disk, dir, *number, OpenMode::Write)?;
        segments.push((Arc::new(segment), header));
    }
    Ok(segments)
}

/// Fails when the missing group was synced once, or may have been.
pub(crate) fn check_end(
    chain: &Chain,
    end: MissingGroup,
    is_slot_damaged: bool,
) -> Result<(), LogError> {
    let number = chain.last_group.number + 1;
    let damage = |why: &str| {
        let what = format!("{}, but group {number} {why}", end.reason);
        let segment = &chain.segments[end.segment].segment;
        Err(LogError::Damaged(segment.damage(end.offset, what)))
    };
    if number <= chain.synced.last_group.number {
        return damage("was synced");
    }
    if !end.reason.is_absence() && is_slot_damaged {
        return damage("may have been synced: a slot of the synced position is damaged too");
    }
    let mut offset = chain.offset() + GROUP_ALIGNMENT as u64;
    for segment in chain.rest() {
        let later = find_later(chain.log_id, segment, offset, number);
        if let Some((found, at)) = later.map_err(LogError::io(&segment.path))? {
            let name = segment.path.display();
            return damage(&format!(
                "was synced, because the later group {found} is in {name} at {at}"
            ));
        }
        offset = SEGMENT_HEADER_SIZE;
    }
    Ok(())
}

/// Finds the first group at or after `offset` with a number above `number`. Returns its number and
/// offset.
fn find_later(
    log_id: u64,
    segment: &Segment,
    mut offset: u64,
    number: u64,
) -> io::Result<Option<(u64, u64)>> {
    let mut bytes = Vec::new();
    while offset + GROUP_ALIGNMENT as u64 <= segment.size {
        bytes.resize(PIECE_SIZE.min(segment.size - offset) as usize, 0);
        segment.file.read_at(&mut bytes, offset)?;
        let blocks = bytes.chunks_exact(GROUP_ALIGNMENT);
        for (at, block) in (offset..).step_by(GROUP_ALIGNMENT).zip(blocks) {
            match GroupHeader::parse(log_id, block) {
                Ok(header) if header.id.number > number => {
                    return Ok(Some((header.id.number, at)));
                }
                _ => {}
            }
        }
        offset += PIECE_SIZE;
    }
    Ok(None)
}

/// Reads the bytes in this range, writes them again and syncs them.
fn rewrite(file: &dyn DiskFile, range: Range<u64>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for offset in range.clone().step_by(PIECE_SIZE as usize) {
        bytes.resize(PIECE_SIZE.min(range.end - offset) as usize, 0);
        file.read_at(&mut bytes, offset)?;
        file.write_at(&bytes, offset)?;
    }
    file.sync_data()
}

/// Renames unused segments to spares, and removes spares of the wrong size or beyond the number
/// that is kept. Returns the others.
fn collect_spares(
    config: &LogConfig,
    mut spares: Vec<PathBuf>,
    unused: Vec<SegmentUsage>,
) -> Result<Vec<PathBuf>, LogError> {
    let (disk, dir) = (config.disk.as_ref(), config.dir.as_path());
    let collect = || {
        // The last one first, so that an interruption leaves no gap.
        for segment in unused.iter().rev().map(|unused| &unused.segment) {
            let spare = segment.path.with_extension(SPARE_EXTENSION);
            disk.rename(&segment.path, &spare)?;
            spares.push(spare);
        }
        let mut kept = Vec::new();
        for spare in spares {
            let size = disk.open(&spare, OpenMode::Read)?.size()?;
            match size == config.segment_size() && kept.len() < config.spare_count_max() {
                true => kept.push(spare),
                false => disk.remove(&spare)?,
            }
        }
        disk.sync_dir(dir)?;
        Ok(kept)
    };
    collect().map_err(LogError::io(dir))
}

//! Opening a log: what was synced counts or is damage, what came behind it counts if it is whole.
//!
//! The synced position K says that the groups up to K were durable. Each group is followed by its
//! number and checksum to the next; the first place where the next one, N, is not:
//!
//! | case | what it is |
//! |---|---|
//! | N ≤ K | damage: it was durable |
//! | N > K, and some group after N is somewhere | damage: N+1 is only written after N was synced |
//! | N > K, and none | a write that power or the disk cut short: N is written anew, by the next append |
//!
//! Whole groups behind K are written anew, the same bytes, and synced before they count: after a
//! failed sync the kernel shows what the disk may not have. Opening writes nothing else into what
//! it reads, so that it can be cut short at any place and begun again.

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
    block::Header,
    chain::{Chain, ChainEnd},
    group::{GROUP_ALIGNMENT, GroupHeader, Link},
    index::Index,
    injected_fault::InjectedFault,
    segment::{SEGMENT_HEADER_SIZE, SPARE_EXTENSION, Segment, Used, segment_number, segment_path},
    synced::{SYNCED_FILE, Synced, SyncedFile},
    vote::{VOTE_FILE, VoteFile},
};

/// The file that one process holds.
const LOCK_FILE: &str = "lock";

/// How much is read at once when the rest of a log is searched, or written anew, in bytes.
const PIECE_SIZE: u64 = 1024 * 1024;

pub(crate) struct Recovered {
    pub(crate) lock: Arc<dyn DiskFile>,
    pub(crate) vote_file: VoteFile,
    pub(crate) synced_file: SyncedFile,
    pub(crate) index: Index,
    pub(crate) segments: VecDeque<Used>,
    /// The last group.
    pub(crate) link: Link,
    /// Files that can become segments.
    pub(crate) spares: Vec<PathBuf>,
}

/// Opens the log, or makes it.
pub(crate) fn recover(config: &LogConfig) -> Result<Recovered, LogError> {
    let (disk, dir) = (config.disk.as_ref(), config.dir.as_path());
    let lock = take_dir(disk, dir)?;
    let mut files = Files::list(disk, dir)?;
    if files.segments.is_empty() {
        create(config)?;
        files = Files::list(disk, dir)?;
    }
    let (vote_file, vote) = open_file(dir, VOTE_FILE, || VoteFile::open(disk, dir))?;
    let (mut synced_file, synced) = open_file(dir, SYNCED_FILE, || SyncedFile::open(disk, dir))?;
    if synced_file.pair.log_id != vote_file.pair.log_id {
        let what = "it belongs to another log than the vote";
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
    chain.check_front()?;

    vote_file
        .renew(vote)
        .map_err(LogError::io(&vote_file.pair.path))?;
    chain.unsynced.iter().try_for_each(|(number, range)| {
        let segment = &chain.segments[*number].segment;
        renew(segment.file.as_ref(), range.clone()).map_err(LogError::io(&segment.path))
    })?;
    // Twice, for a slot that was damaged.
    let end = chain.end();
    (synced_file.note(end).and_then(|()| synced_file.note(end)))
        .and_then(|()| synced_file.pair.file.sync_data())
        .map_err(LogError::io(&synced_file.pair.path))?;

    let spares = files.spares;
    let (mut index, link, segments, beyond) = chain.into_parts();
    index.vote = vote;
    let spares = gather_spares(config, spares, beyond)?;
    Ok(Recovered {
        lock,
        vote_file,
        synced_file,
        index,
        segments,
        link,
        spares,
    })
}

/// Makes the directory, and takes it for this process.
fn take_dir(disk: &dyn Disk, dir: &Path) -> Result<Arc<dyn DiskFile>, LogError> {
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

/// The files of a directory.
pub(crate) struct Files {
    /// Numbers of the segments, in order.
    pub(crate) segments: Vec<u64>,
    pub(crate) spares: Vec<PathBuf>,
    has_vote: bool,
    has_synced: bool,
}

impl Files {
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

/// Makes a log, or finishes what an earlier start of it left. The first segment gets its name last:
/// before that nothing can have been written, and a vote or a synced position says that it was.
fn create(config: &LogConfig) -> Result<(), LogError> {
    let (disk, dir) = (config.disk.as_ref(), config.dir.as_path());
    let missing =
        || LogError::damaged(dir, 0, "the log was used, and all its segments are missing");
    let files = Files::list(disk, dir)?;
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
        true if SyncedFile::open(disk, dir)?.1 != Synced::default() => return Err(missing()),
        true => {}
        false => SyncedFile::create(disk, dir, log_id)?,
    }
    let spare = segment_path(dir, 1).with_extension(SPARE_EXTENSION);
    Segment::make(disk, dir, &spare, 1, config.segment_size(), log_id, true)
        .and_then(|_| disk.sync_dir(dir))
        .map_err(LogError::io(dir))
}

/// Opens a file that every log has.
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
) -> Result<Vec<(Segment, Header)>, LogError> {
    let mut segments = Vec::new();
    for (number, expected) in numbers.iter().zip(numbers[0]..) {
        if *number != expected {
            let path = segment_path(dir, expected);
            return Err(LogError::damaged(&path, 0, "the segment is missing"));
        }
        segments.push(Segment::open(disk, dir, *number, OpenMode::Write)?);
    }
    Ok(segments)
}

/// Whether the log ends where the chain does, or there was more once.
fn check_end(chain: &Chain, end: ChainEnd, is_slot_damaged: bool) -> Result<(), LogError> {
    let (ChainEnd { place, offset, bad }, number) = (end, chain.link.number + 1);
    let damage = |why: &str| {
        let what = format!("{bad}, and group {number} {why}");
        let segment = &chain.segments[place].segment;
        Err(LogError::Damaged(segment.damage(offset, what)))
    };
    if number <= chain.synced.link.number {
        return damage("was synced");
    }
    if !bad.is_absence() && is_slot_damaged {
        return damage("may have been synced: a slot of the synced position is damaged too");
    }
    let mut offset = chain.offset() + GROUP_ALIGNMENT as u64;
    for segment in chain.rest() {
        let later = find_later(chain.log_id, segment, offset, number);
        if let Some((found, at)) = later.map_err(LogError::io(&segment.path))? {
            let name = segment.path.display();
            return damage(&format!(
                "was synced, for group {found} is in {name} at {at}"
            ));
        }
        offset = SEGMENT_HEADER_SIZE;
    }
    Ok(())
}

/// The first group from `offset` on with a number above `number`, and where it is.
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
                Ok(header) if header.link.number > number => {
                    return Ok(Some((header.link.number, at)));
                }
                _ => {}
            }
        }
        offset += PIECE_SIZE;
    }
    Ok(None)
}

/// Writes what stands there once more and syncs it.
fn renew(file: &dyn DiskFile, range: Range<u64>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for offset in range.clone().step_by(PIECE_SIZE as usize) {
        bytes.resize(PIECE_SIZE.min(range.end - offset) as usize, 0);
        file.read_at(&mut bytes, offset)?;
        file.write_at(&bytes, offset)?;
    }
    file.sync_data()
}

/// Takes files that hold nothing as spares, as many as are kept and if they have the size.
fn gather_spares(
    config: &LogConfig,
    mut spares: Vec<PathBuf>,
    beyond: Vec<Used>,
) -> Result<Vec<PathBuf>, LogError> {
    let (disk, dir) = (config.disk.as_ref(), config.dir.as_path());
    let gather = || {
        // From the last one, so that no gap is left if this is cut short.
        for segment in beyond.iter().rev().map(|used| &used.segment) {
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
    gather().map_err(LogError::io(dir))
}

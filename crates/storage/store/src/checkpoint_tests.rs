use std::{
    ffi::OsString,
    io,
    path::Path,
    sync::Mutex,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use quorate_disk::{Disk, DiskFile, LinuxDisk, OpenMode};

use quorate_state::{LogPosition, UnixMillis};

use super::*;
use crate::IoSpeed;
use crate::fixture::*;

/// A disk on which syncs can be blocked.
#[derive(Debug)]
struct SlowDisk(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    sync_started: Mutex<Option<Sender<()>>>,
    released: Mutex<Receiver<()>>,
}

impl Gate {
    /// Blocks later syncs. The receiver gets a message when one starts.
    fn close(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        *self.sync_started.lock().unwrap() = Some(sender);
        receiver
    }

    fn pass(&self) {
        let sync_started = self.sync_started.lock().unwrap().clone();
        if let Some(sync_started) = sync_started {
            let _ = sync_started.send(());
            let _ = self.released.lock().unwrap().recv();
        }
    }
}

#[derive(Debug)]
struct SlowFile(Arc<dyn DiskFile>, Arc<Gate>);

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = LinuxDisk.open(path, mode)?;
        Ok(Arc::new(SlowFile(file, self.0.clone())))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        LinuxDisk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        LinuxDisk.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LinuxDisk.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        LinuxDisk.rename_new(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        LinuxDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        LinuxDisk.sync_dir(dir)
    }
    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        LinuxDisk.free_space(dir)
    }
}

impl DiskFile for SlowFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }
    fn allocate(&self, size: u64) -> io::Result<()> {
        self.0.allocate(size)
    }
    fn reserve(&self, size: u64) -> io::Result<()> {
        self.0.reserve(size)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }
    fn mode(&self) -> io::Result<u32> {
        self.0.mode()
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}

#[test]
fn reads_and_transactions_do_not_wait_for_the_disk_during_a_checkpoint() {
    for scope in [CheckpointScope::Changes, CheckpointScope::Everything] {
        let dir = tempfile::tempdir().unwrap();
        let (release, released) = channel();
        let gate = Arc::new(Gate {
            sync_started: Mutex::new(None),
            released: Mutex::new(released),
        });
        let config = config_on(SlowDisk(gate.clone()), config(dir.path()).path);
        let store = open(&config);
        put(&store, 1, (0..100).map(|n| stored(n, 10, 1000)));

        let sync_started = gate.close();
        let committing = thread::spawn({
            let checkpoint = store.begin_checkpoint(scope);
            move || checkpoint.commit(IoSpeed::Fast).unwrap()
        });
        sync_started.recv().unwrap();
        assert_eq!(store.stored_packet(&key(1)), Some(stored(1, 10, 1000)));
        put(&store, 2, [stored(1, 20, 200), stored(200, 20, 100)]);
        assert_eq!(expire(&store, 11, 1), 1);
        assert_eq!(store.stored_packet(&key(1)), Some(stored(1, 20, 200)));
        assert_eq!(store.meta().packets.usage.count, 100);
        assert_eq!(store.oldest_received(), Some(UnixMillis(10)));
        assert!(!committing.is_finished(), "its sync is still blocked");
        drop(release);

        let at_checkpoint = committing.join().unwrap();
        assert_eq!(at_checkpoint.applied, Some(LogPosition::new(1, 1)));
        assert_eq!(at_checkpoint.packets.usage.count, 100);
        drop(sync_started);
        assert_eq!(*store.snapshot().unwrap().meta(), at_checkpoint);
        let (meta, expected) = (checkpoint(&store), packets(&store));
        drop(store);
        let store = open(&config);
        assert_eq!(store.meta(), meta, "the next one has the later changes");
        assert_eq!(packets(&store), expected);
    }
}

#[test]
fn the_changes_of_a_dropped_checkpoint_are_in_the_next_one() {
    for scope in [CheckpointScope::Changes, CheckpointScope::Everything] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let store = open(&config);
        put(&store, 1, (1..4).map(|n| stored(n, 10, 100)));
        let dropped = store.begin_checkpoint(scope);
        put(&store, 2, [stored(2, 20, 200)]);
        expire(&store, 11, 1);
        put(&store, 3, [stored(1, 30, 300)]);
        drop(dropped);
        checkpoint(&store);
        let expected = packets(&store);
        drop(store);
        assert_eq!(packets(&open(&config)), expected);
        assert_eq!(
            expected,
            [stored(1, 30, 300), stored(2, 20, 200), stored(3, 10, 100)]
        );
    }
}

#[test]
fn checkpoints_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&config(dir.path())));
    put(&store, 1, [stored(1, 10, 100)]);
    let first = store.begin_checkpoint(CheckpointScope::Changes);
    let (sender, second_started) = channel();
    let second = thread::spawn({
        let store = store.clone();
        move || {
            let second = store.begin_checkpoint(CheckpointScope::Changes);
            sender.send(second.meta().applied).unwrap();
            second.commit(IoSpeed::Fast).unwrap()
        }
    });
    put(&store, 2, [stored(2, 20, 100)]);
    let early = second_started.recv_timeout(Duration::from_millis(200));
    assert!(early.is_err(), "the first is not committed");
    first.commit(IoSpeed::Fast).unwrap();
    let applied = second_started.recv().unwrap();
    assert_eq!(applied, Some(LogPosition::new(1, 2)));
    assert_eq!(second.join().unwrap(), store.meta());
}

#[test]
fn a_scrub_reads_its_checkpoint_while_others_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&config(dir.path()));
    put(&store, 1, (0..2000).map(|n| stored(n, 10, 1000)));
    checkpoint(&store);
    let mut scrub = store.scrub().unwrap();
    let mut size = 0;
    let mut index = 2;
    while let Some(piece) = scrub.next_piece().unwrap() {
        size += piece;
        for _ in 0..3 {
            put(
                &store,
                index,
                (0..2000).step_by(5).map(|n| stored(n, index, 900)),
            );
            expire(&store, 11, 10);
            checkpoint(&store);
            index += 1;
        }
    }
    assert!(size > 2_000_000, "it read the complete checkpoint: {size}");
    assert!(index > 10, "several pieces");
    assert_eq!(scrub.next_piece().unwrap(), None);
    drop(scrub);
    crate::fixture::scrub(&store).unwrap();
}

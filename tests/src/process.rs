//! A process that can be restarted, and its log.

use std::{
    fs::{self, File, OpenOptions},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{STOP_WITHIN, until};

/// How many bytes from the end of a log are shown when a test fails.
const SHOWN_LOG_SIZE: usize = 16 * 1024;

/// The end of a process.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its output.
    pub log: String,
}

/// A process, running or not, whose output goes to a file. It is killed when this is dropped.
pub(crate) struct Process {
    /// Its name in the test.
    name: String,
    log_file: PathBuf,
    child: Mutex<Option<Child>>,
    /// The offset in the log file where the output of the last process starts.
    log_start: AtomicUsize,
}

impl Process {
    /// A process that has not run yet.
    pub(crate) fn new(name: String, log_file: PathBuf) -> Self {
        Self {
            name,
            log_file,
            child: Mutex::default(),
            log_start: AtomicUsize::default(),
        }
    }

    /// Starts it. It must not be running.
    pub(crate) fn start(&self, command: &mut Command) {
        let mut child = self.child();
        assert!(child.is_none(), "{} runs already", self.name);
        self.log_start
            .store(self.log_bytes().len(), Ordering::Relaxed);
        let log = || -> File {
            let log = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.log_file);
            log.expect("the test's directory can be written")
        };
        let started = command
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn();
        *child = Some(started.expect("quorate can be started"));
    }

    /// Sends a signal. It must be running.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut child = self.child();
        let child = self.running(&mut child);
        assert!(exited(child).is_none(), "{} ended on its own", self.name);
        kill_process(Pid::from_child(child), signal).expect("our own child accepts signals");
    }

    /// Waits for the end of a killed process.
    pub(crate) fn reap(&self) {
        if let Some(mut child) = self.child().take() {
            child.wait().expect("our own child can be waited for");
        }
    }

    /// Kills it if it runs.
    pub(crate) fn end(&self) {
        if let Some(mut child) = self.child().take() {
            // An error means that it has already ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it has ended on its own.
    pub(crate) async fn wait_for_end(&self) -> Ended {
        let what = format!("the end of {}", self.name);
        let status = until(&what, STOP_WITHIN, async || {
            let mut child = self.child();
            let status = exited(self.running(&mut child)).ok_or("it runs")?;
            *child = None;
            Ok(status)
        })
        .await;
        Ended {
            status,
            log: self.log(),
        }
    }

    /// Whether it runs.
    pub(crate) fn is_up(&self) -> bool {
        self.child()
            .as_mut()
            .is_some_and(|child| exited(child).is_none())
    }

    /// Its id.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Panics if it has ended on its own.
    pub(crate) fn check_alive(&self) {
        let status = self.child().as_mut().and_then(exited);
        if let Some(status) = status {
            panic!(
                "{} ended on its own: {status}\n{}",
                self.name,
                self.log_end()
            );
        }
    }

    /// The output since the last start.
    pub(crate) fn log(&self) -> String {
        let start = self.log_start.load(Ordering::Relaxed);
        String::from_utf8_lossy(&self.log_bytes()[start..]).into_owned()
    }

    /// The end of the log of all its runs.
    pub(crate) fn log_end(&self) -> String {
        let log = self.log_bytes();
        let log = String::from_utf8_lossy(&log);
        let from = log.ceil_char_boundary(log.len().saturating_sub(SHOWN_LOG_SIZE));
        log[from..].to_owned()
    }

    fn log_bytes(&self) -> Vec<u8> {
        fs::read(&self.log_file).unwrap_or_default()
    }

    fn running<'a>(&self, child: &'a mut Option<Child>) -> &'a mut Child {
        child
            .as_mut()
            .unwrap_or_else(|| panic!("{} is down", self.name))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        // Also after a panic with the lock held: its processes must still be killed.
        self.child
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn exited(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("our own child can be waited for")
}

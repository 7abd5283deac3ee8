//! Ports that no other test uses.
//!
//! A node that restarts needs its ports again. So they are below the range for outgoing connections
//! (from 32768 on Linux), and each test process uses its own block.

use std::{
    collections::VecDeque,
    env,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::Mutex,
};

/// The first port of the first block.
const FIRST: u16 = 20_000;

/// Ports of one process: more than its clusters use at the same time.
const BLOCK_SIZE: u16 = 600;

/// How many processes can run tests at the same time.
const BLOCK_COUNT: u16 = 20;

const _: () = assert!(FIRST + BLOCK_SIZE * BLOCK_COUNT <= 32_768);

/// The ports of this process.
struct Block {
    /// Free ports, the longest unused first.
    free: VecDeque<u16>,
    /// Held until the process ends.
    _lock: File,
}

static BLOCK: Mutex<Option<Block>> = Mutex::new(None);

/// A loopback address whose port is free for TCP and UDP, and reserved until [`give_back`].
pub fn take_address() -> SocketAddr {
    let mut block = BLOCK.lock().expect("no holder panics");
    let block = block.get_or_insert_with(take_block);
    while let Some(port) = block.free.pop_front() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("all {BLOCK_SIZE} ports of this process are taken");
}

/// Releases an address.
pub fn give_back(address: SocketAddr) {
    if let Ok(mut block) = BLOCK.lock()
        && let Some(block) = block.as_mut()
    {
        block.free.push_back(address.port());
    }
}

fn take_block() -> Block {
    let dir = env::temp_dir().join("quorate-tests-ports");
    fs::create_dir_all(&dir).expect("the temporary directory is writable");
    for number in 0..BLOCK_COUNT {
        let lock = File::create(dir.join(number.to_string())).expect("a lock file can be created");
        if lock.try_lock().is_ok() {
            let first = FIRST + number * BLOCK_SIZE;
            return Block {
                free: (first..first + BLOCK_SIZE).collect(),
                _lock: lock,
            };
        }
    }
    panic!("{BLOCK_COUNT} other processes run tests");
}

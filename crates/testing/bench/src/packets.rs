//! Keys, and packets signed ahead of time.

use std::{
    num::NonZero,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use fastrand::Rng;
use pkarr::Keypair;
use quorate_packet::PublicKey;
use quorate_tests::{
    Packet,
    packet::{now_micros, sign_txt},
};

/// What an endpoint publishes about itself at `_iroh`. With it, a payload has about 250 bytes.
pub(crate) const TEXTS: [&str; 2] = [
    "relay=https://euc1-1.relay.iroh.example.org./",
    "addr=192.0.2.117:49152 198.51.100.7:49153",
];

/// Key pairs that are the same in every run with the same seed, so that one run can read what
/// another has written.
pub(crate) struct Keys {
    signers: Vec<Keypair>,
    names: Vec<String>,
    /// The timestamp of the next packet, in microseconds: no clock is needed for a packet each, since
    /// signing takes about as long.
    next_micros: AtomicU64,
}

impl Keys {
    /// The first `count` keys of a seed.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let signers = in_parallel(count, |number| {
            let mut secret = [0; 32];
            secret[..8].copy_from_slice(&seed.to_be_bytes());
            secret[8..16].copy_from_slice(&wide(number).to_be_bytes());
            Keypair::from_secret_key(&secret)
        });
        let names = signers.iter().map(Keypair::to_z32).collect();
        Self {
            signers,
            names,
            next_micros: AtomicU64::new(now_micros()),
        }
    }

    /// The public keys in z-base-32.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// `count` packets, newer than all before: one of each key in order, and from the first key again
    /// after the last.
    pub(crate) fn sign(&self, count: usize) -> Vec<Packet> {
        self.sign_each(count, |number| number % self.signers.len())
    }

    /// A packet of each of these keys, newer than all before.
    pub(crate) fn sign_range(&self, keys: Range<usize>) -> Vec<Packet> {
        self.sign_each(keys.len(), |number| keys.start + number)
    }

    /// `count` packets, newer than all before, of keys in the order of [`scattered`].
    pub(crate) fn sign_scattered(&self, count: usize) -> Vec<Packet> {
        let keys = scattered(self.signers.len(), count);
        self.sign_each(count, |number| keys[number])
    }

    /// A packet of this key, newer than all before.
    pub(crate) fn sign_one(&self, key: usize) -> Packet {
        let micros = self.next_micros.fetch_add(1, Ordering::Relaxed);
        self.sign_at(key, micros)
    }

    fn sign_at(&self, key: usize, micros: u64) -> Packet {
        let name = format!("_iroh.{}.", self.names[key]);
        let texts = TEXTS.map(|text| (&*name, text));
        sign_txt(&self.signers[key], micros, &texts)
    }

    /// Packets with the numbers from 0 to `count`, each of the key that `key_of` gives, each newer
    /// than the one before.
    fn sign_each(&self, count: usize, key_of: impl Fn(usize) -> usize + Sync) -> Vec<Packet> {
        let first_micros = self.next_micros.fetch_add(wide(count), Ordering::Relaxed);
        in_parallel(count, |number| {
            self.sign_at(key_of(number), first_micros + wide(number))
        })
    }
}

/// Keys without packets: nobody knows their secrets.
pub(crate) fn absent_names(count: usize) -> Vec<String> {
    let mut random = Rng::with_seed(0x243f_6a88_85a3_08d3);
    let absent = || {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        PublicKey::from_bytes(bytes).to_string()
    };
    std::iter::repeat_with(absent).take(count).collect()
}

/// The same values in a random order, the same in every run, so that reads do not follow the order
/// of writes.
pub(crate) fn shuffled<T>(mut values: Vec<T>) -> Vec<T> {
    Rng::with_seed(0x1319_8a2e_0370_7344).shuffle(&mut values);
    values
}

/// `count` random numbers below `key_count`, the same in every run. A number repeats only after
/// `key_count / 2` others: on several connections, a newer packet then does not overtake a delayed
/// one of its key, which would be rejected.
fn scattered(key_count: usize, count: usize) -> Vec<usize> {
    let mut random = Rng::with_seed(0xa409_3822_299f_31d0);
    let mut drawn_at = vec![None; key_count];
    let draw = |number: usize| {
        loop {
            let key = random.usize(..key_count);
            if drawn_at[key].is_none_or(|at| number - at > key_count / 2) {
                drawn_at[key] = Some(number);
                return key;
            }
        }
    };
    (0..count).map(draw).collect()
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).expect("usize has at most 64 bits")
}

/// Computes `count` values on all cores.
fn in_parallel<T: Send>(count: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let make = &make;
    thread::scope(|scope| {
        let share = |thread| count * thread / threads..count * (thread + 1) / threads;
        let shares: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || share(thread).map(make).collect::<Vec<T>>()))
            .collect();
        let shares = shares.into_iter();
        shares
            .flat_map(|share| share.join().expect("computing values does not panic"))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quorate_packet::SignedPacket;

    use super::*;

    #[test]
    fn a_relay_accepts_the_packets() {
        let keys = Keys::new(1, 3);
        let packets = keys.sign(7);
        let parsed: Vec<SignedPacket> = packets
            .iter()
            .map(|packet| {
                let key = packet.key.parse().unwrap();
                SignedPacket::parse(key, packet.payload.clone()).unwrap()
            })
            .collect();
        for (number, packet) in parsed.iter().enumerate() {
            assert_eq!(packet.key().to_string(), keys.names()[number % 3]);
            assert!((240..=260).contains(&packet.payload().len()));
        }
        let newer = keys.sign(1);
        let newer = SignedPacket::parse(*parsed[0].key(), newer[0].payload.clone());
        assert!(newer.unwrap().timestamp() > parsed[6].timestamp());
    }

    #[test]
    fn a_seed_gives_the_same_keys_and_another_seed_gives_others() {
        assert_eq!(Keys::new(1, 5).names()[..3], *Keys::new(1, 3).names());
        assert_ne!(Keys::new(1, 3).names(), Keys::new(2, 3).names());
    }

    #[test]
    fn refreshed_keys_are_random_and_repeat_late() {
        let keys = scattered(100, 2_000);
        assert!(keys.windows(51).all(|some| {
            let distinct: BTreeSet<_> = some.iter().collect();
            distinct.len() == 51
        }));
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 100);
        assert_ne!(keys[..100], keys[100..200]);
    }

    #[test]
    fn each_scattered_packet_is_newer_than_the_last() {
        let keys = Keys::new(1, 4);
        let packets = keys.sign_scattered(6);
        assert!(packets.is_sorted_by_key(|packet| packet.micros));
        let range = keys.sign_range(1..3);
        assert!(
            range
                .iter()
                .map(|packet| &packet.key)
                .eq(&keys.names()[1..3])
        );
        let keys_drawn = scattered(4, 6);
        let names = keys_drawn.into_iter().map(|key| &keys.names()[key]);
        assert!(names.eq(packets.iter().map(|packet| &packet.key)));
    }

    #[test]
    fn names_are_distinct_and_shuffling_loses_none() {
        let names = absent_names(1000);
        let distinct: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!(distinct.len(), 1000);
        let other_order = shuffled(names.clone());
        assert_ne!(other_order, names);
        assert_eq!(other_order.into_iter().collect::<BTreeSet<_>>(), distinct);
    }
}

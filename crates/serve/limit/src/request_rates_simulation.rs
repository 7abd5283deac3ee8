//! What many attackers with as many networks can do to honest endpoints.

use super::*;

/// How often an endpoint publishes.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(300);

/// Keys that are stored, and when each was stored last.
struct Stored {
    first_key: u32,
    stored_at: Vec<Duration>,
}

impl Stored {
    /// `count` keys that have published nothing for a while.
    fn idle(first_key: u32, count: usize) -> Self {
        let stored_at = vec![Duration::ZERO; count];
        Self {
            first_key,
            stored_at,
        }
    }
}

/// A node and its clients. They begin at `now`, when all keys are idle.
struct Simulation {
    rates: Rates,
    now: Duration,
}

impl Simulation {
    fn new(config: &LimitConfig) -> Self {
        Self {
            rates: Rates::new(config),
            now: PUBLISH_INTERVAL,
        }
    }

    fn wait(&mut self, time: Duration) {
        self.rates.wait(time);
        self.now += time;
    }

    /// A PUT of one of these keys.
    fn put(&self, client: Ipv4Addr, keys: &mut Stored, at: usize) -> Result<(), LimitExceeded> {
        let key = &key(keys.first_key + at as u32);
        let age = self.now - keys.stored_at[at];
        self.rates.put(client, PutEffect::Key { key, age })?;
        keys.stored_at[at] = self.now;
        Ok(())
    }
}

/// Sends PUTs in turns until one is rejected because of a limit that all clients share: more would
/// be rejected too. Returns how many were admitted.
fn until_shared_limit(mut put: impl FnMut() -> Result<(), LimitExceeded>) -> usize {
    let mut admitted = 0;
    loop {
        match put() {
            Ok(()) => admitted += 1,
            Err(error) if error.limit.is_shared() => return admitted,
            Err(_) => {}
        }
    }
}

/// The attackers always come first, and take all that they get of everything.
#[test]
fn ten_thousand_attackers_stop_no_stored_endpoint() {
    let attackers: Vec<_> = scattered(10_000).collect();
    let endpoint_count = 33_000;
    let endpoint = |at| Ipv4Addr::from_bits(v4("203.0.113.0").to_bits() + at as u32);
    let mut simulation = Simulation::new(&LimitConfig::default());
    let mut of_attackers = Stored::idle(0, 50_000);
    let mut honest = Stored::idle(1_000_000, endpoint_count);
    let mut turns = attackers.iter().cycle().copied().zip(0_usize..);
    let mut turn = || turns.next().unwrap();
    let (mut admitted, mut new) = (0, 0);
    // Every endpoint publishes twice, one after the other.
    let round = PUBLISH_INTERVAL.as_millis() as u64 / 100;
    for tick in 0..2 * round {
        admitted += until_shared_limit(|| {
            let (client, turn) = turn();
            let at = turn % of_attackers.stored_at.len();
            simulation.put(client, &mut of_attackers, at)
        });
        new += until_shared_limit(|| simulation.rates.put(turn().0, PutEffect::NewKey));
        until_shared_limit(|| simulation.rates.put(turn().0, PutEffect::Unchanged));
        let tick = (tick % round) as usize;
        let share = |tick| tick * endpoint_count / round as usize;
        for at in share(tick)..share(tick + 1) {
            let put = simulation.put(endpoint(at), &mut honest, at);
            assert_eq!(put, Ok(()), "endpoint {at} after {:?}", simulation.now);
        }
        simulation.wait(Duration::from_millis(100));
    }
    // The burst, and half of 10,000 a second.
    assert!(admitted + new > 3_000_000, "{admitted} {new}");
    let rejected = |limit| simulation.rates.rejected(limit) > 0;
    assert!(rejected(Limit::TotalBusyPuts) && rejected(Limit::TotalUnchangedPuts));
    assert!(!rejected(Limit::TotalPuts), "it never runs out");
}

/// A hundredth of the limits and of the keys of a full cluster, nearly all of which belong to
/// attackers, and publish at the same moment and then all the time.
#[test]
fn even_if_all_stored_keys_publish_at_once_each_is_stored_before_it_is_idle_again() {
    let defaults = LimitConfig::default();
    let mut simulation = Simulation::new(&LimitConfig {
        total_put_burst: defaults.total_put_burst / 100,
        total_put_per_sec: defaults.total_put_per_sec / 100,
        ..defaults
    });
    let clients: Vec<_> = scattered(10_000).collect();
    let mut keys = Stored::idle(0, clients.len());
    let begin = simulation.now;
    while simulation.now - begin < IDLE_AGE {
        // The attackers come first, the honest endpoints last.
        for (at, client) in clients.iter().enumerate() {
            let _ = simulation.put(*client, &mut keys, at);
        }
        simulation.wait(Duration::from_secs(1));
    }
    let missing = keys.stored_at.iter().filter(|at| **at < begin).count();
    assert_eq!(missing, 0);
}

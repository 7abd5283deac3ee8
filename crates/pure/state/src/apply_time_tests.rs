//! A majority whose clocks are ahead for a while, as it is applied.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use crate::{KeyId, SealedSecret, SecretKind, StoreSecret, SwitchKey};

use super::{
    capacity::{UNBOUNDED, capacity},
    *,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const MONTH_MS: u64 = 30 * DAY_MS;

/// When the clocks step.
const STEP: u64 = 1_000 * DAY_MS;

/// A day after the step, and a majority has agreed on that for a day.
const AGREED: u64 = STEP + 2 * DAY_MS;

/// Puts without any time passing on the way.
fn put_at(replica: &mut Replica, now: u64, packet: &SignedPacket) -> PutOutcome {
    match replica.apply(&batch(now, std::slice::from_ref(packet))) {
        Outcome::Put { outcomes, .. } => outcomes[0],
        other => panic!("{other:?}"),
    }
}

fn set_back(replica: &mut Replica) {
    replica.apply(&Command::SetBack {
        now: UnixMillis(AGREED),
    });
}

#[test]
fn at_a_step_nothing_alive_gives_way() {
    let held = [
        (STEP - DAY_MS, packet(1, 1, b"")),
        (STEP, packet(2, 1, b"")),
    ];
    let mut replica = Replica::holding(capacity(2, UNBOUNDED), &held);
    let unknown = packet(3, 1, b"");
    assert_eq!(
        put_at(&mut replica, STEP + MONTH_MS, &unknown),
        PutOutcome::Full
    );
    // The one is dead for two days then, by all that is known, and the other is not.
    let outcomes = replica.put(STEP + MONTH_MS + DAY_MS + 1, &[unknown, packet(4, 1, b"")]);
    assert_eq!(outcomes, [PutOutcome::Stored, PutOutcome::Full]);
    assert_eq!(replica.keys(), [2, 3]);
}

#[test]
fn a_block_holds_by_the_time_that_a_majority_agrees_on() {
    let mut replica = Replica::default();
    let key = packet(1, 1, b"").key().to_owned();
    replica.apply(&Command::DeletePacket {
        key,
        blocked_until: Some(UnixMillis(STEP + 10 * DAY_MS)),
        now: UnixMillis(STEP),
    });
    let newer = packet(1, (STEP + 1) * 1000, b"");
    put_at(&mut replica, STEP + MONTH_MS, &packet(2, 1, b""));
    for (after, outcome) in [(9, PutOutcome::Blocked), (10, PutOutcome::Stored)] {
        assert_eq!(put_at(&mut replica, STEP + after * DAY_MS, &newer), outcome);
    }
}

/// What is made while the clocks are ahead would end a month late.
#[test]
fn tokens_and_secrets_of_meanwhile_are_set_back_and_others_are_not() {
    let mut replica = Replica::default();
    let mut invite = |id, now: u64| {
        let invite = Invite {
            key: PublicKey::from_bytes([9; 32]),
            expires: UnixMillis(now + DAY_MS),
            stays_learner: false,
            uses: 1,
            used_by: BTreeSet::new(),
        };
        let (id, now) = (InviteId([id; 16]), UnixMillis(now));
        replica.apply(&Command::Invite { id, invite, now });
        replica.apply(&Command::Tick { now });
    };
    invite(1, STEP);
    invite(2, STEP + MONTH_MS);
    let key = KeyId([1; _]);
    replica.apply(&Command::SwitchKey(SwitchKey {
        key,
        made_after: LogIndex(0),
    }));
    replica.apply(&Command::StoreSecret(StoreSecret {
        kind: SecretKind::DnsCookies,
        replaces: None,
        is_new: true,
        sealed: SealedSecret {
            key,
            bytes: Bytes::new(),
            made: UnixMillis(STEP + MONTH_MS),
        },
    }));
    replica.put(STEP + MONTH_MS + DAY_MS, &[]);
    replica.apply(&Command::Tick {
        now: UnixMillis(STEP + DAY_MS),
    });
    replica.pass(AGREED);
    set_back(&mut replica);
    let expires = replica
        .cluster
        .node_registry
        .invites
        .values()
        .map(|it| it.expires.0);
    assert_eq!(expires.collect::<Vec<_>>(), [STEP + DAY_MS, STEP + DAY_MS]);
    let stored = &replica.cluster.secrets.stored[&SecretKind::DnsCookies];
    assert_eq!(stored.sealed.made, UnixMillis(STEP));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever was received before a step, while the clocks were ahead, and since: the order of eviction
    /// stays as time is set back, and no packet is older than the step than it was.
    #[test]
    fn the_order_of_eviction_stays_as_time_is_set_back(
        before in vec((0..100u8, 0..HOUR_MS), 1..10),
        ahead in vec((0..100u8, 0..DAY_MS), 1..10),
        since in vec((0..100u8, 0..DAY_MS), 1..10),
    ) {
        let mut replica = Replica::default();
        let moments = [(before, STEP - HOUR_MS), (ahead, STEP + MONTH_MS), (since, STEP + DAY_MS)];
        for (mut puts, begin) in moments {
            put_at(&mut replica, begin, &packet(200, begin, b""));
            puts.sort_by_key(|(_, after)| *after);
            for (key, after) in puts {
                replica.put(begin + after, &[packet(key, begin + after, b"")]);
            }
        }
        replica.pass(AGREED);
        let shown = |replica: &Replica| {
            let stored = replica.map.0.iter();
            let time = &replica.cluster.time;
            let mut shown: Vec<_> = stored.map(|(key, it)| (it.received, *key)).collect();
            shown.sort();
            let received: Vec<_> = shown.iter().map(|(it, _)| time.shown(*it)).collect();
            let keys: Vec<_> = shown.into_iter().map(|(_, key)| key).collect();
            (keys, received)
        };
        let (order, then) = shown(&replica);
        set_back(&mut replica);
        let (order_after, now) = shown(&replica);
        prop_assert_eq!(order, order_after);
        prop_assert!(now.is_sorted());
        for (then, now) in then.into_iter().zip(now) {
            match then.0 > STEP {
                false => prop_assert_eq!(then, now, "it was received before the step"),
                true => {
                    prop_assert!(now >= UnixMillis(STEP - HOUR_MS) && now <= UnixMillis(AGREED));
                    prop_assert!(then.since(now) <= Duration::from_millis(MONTH_MS + HOUR_MS));
                }
            }
        }
    }
}

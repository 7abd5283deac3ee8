use super::*;

const FIRST: KeyId = KeyId([1; _]);
const SECOND: KeyId = KeyId([2; _]);

fn sealed(key: KeyId) -> SealedSecret {
    SealedSecret {
        key,
        bytes: Bytes::from_static(b"sealed"),
        made: UnixMillis(7),
    }
}

fn store(key: KeyId, replaces: Option<u64>) -> StoreSecret {
    StoreSecret {
        kind: SecretKind::Certificate,
        replaces: replaces.map(LogIndex),
        is_new: true,
        sealed: sealed(key),
    }
}

fn switch(key: KeyId, made_after: u64) -> SwitchKey {
    SwitchKey {
        key,
        made_after: LogIndex(made_after),
    }
}

fn state() -> SecretState {
    let mut state = SecretState::default();
    state.switch_key(switch(FIRST, 0));
    state
}

#[test]
fn a_demand_stays_if_the_key_was_made_before_it() {
    let mut state = SecretState {
        key_due: Some(LogIndex(5)),
        ..SecretState::default()
    };
    state.switch_key(switch(FIRST, 4));
    assert_eq!((state.key, state.key_due), (Some(FIRST), Some(LogIndex(5))));
    state.switch_key(switch(SECOND, 5));
    assert_eq!((state.key, state.key_due), (Some(SECOND), None));
}

#[test]
fn only_the_key_in_use_seals() {
    let mut state = SecretState::default();
    let rejected = Err(SecretRejection::Key(FIRST));
    assert_eq!(state.store(store(FIRST, None), LogIndex(1)), rejected);
    state.switch_key(switch(FIRST, 0));
    assert_eq!(state.store(store(FIRST, None), LogIndex(1)), Ok(()));
    state.switch_key(switch(SECOND, 0));
    assert_eq!(state.store(store(FIRST, Some(1)), LogIndex(2)), rejected);
    assert_eq!(state.keys().collect::<Vec<_>>(), [SECOND, FIRST]);
    assert_eq!(state.store(store(SECOND, Some(1)), LogIndex(3)), Ok(()));
    assert_eq!(state.keys().collect::<Vec<_>>(), [SECOND, SECOND]);
}

#[test]
fn of_two_leaders_that_store_a_secret_the_first_succeeds() {
    let mut state = state();
    let replaced = Err(SecretRejection::Replaced);
    assert_eq!(state.store(store(FIRST, Some(1)), LogIndex(2)), replaced);
    assert_eq!(state.store(store(FIRST, None), LogIndex(3)), Ok(()));
    assert_eq!(state.store(store(FIRST, None), LogIndex(4)), replaced);
    assert_eq!(state.store(store(FIRST, Some(3)), LogIndex(5)), Ok(()));
}

#[test]
fn what_is_demanded_stays_due_until_a_new_secret_comes() {
    let mut state = state();
    state.store(store(FIRST, None), LogIndex(1)).unwrap();
    let both = vec![SecretKind::Certificate, SecretKind::AcmeAccount];
    state.demand(both.clone(), Renewal::Compromised, LogIndex(2));
    assert_eq!(
        state.key_due,
        Some(LogIndex(2)),
        "others may know the key too"
    );
    state.switch_key(switch(FIRST, 2));
    state.demand(both, Renewal::Requested, LogIndex(3));
    let due = state.due.get(&SecretKind::Certificate);
    assert_eq!(
        due,
        Some(&Renewal::Compromised),
        "the stronger reason stays"
    );
    // One that was made before the demand is not new.
    let replaced = Err(SecretRejection::Replaced);
    assert_eq!(state.store(store(FIRST, Some(1)), LogIndex(4)), replaced);
    let mut again = store(FIRST, Some(3));
    again.is_new = false;
    state.store(again, LogIndex(5)).unwrap();
    assert!(state.due.contains_key(&SecretKind::Certificate));
    state.store(store(FIRST, Some(5)), LogIndex(6)).unwrap();
    assert!(!state.due.contains_key(&SecretKind::Certificate));
    assert!(state.due.contains_key(&SecretKind::AcmeAccount));
}

/// What is sealed before the switch, a removed node could open.
#[test]
fn a_new_secret_waits_for_the_key_that_is_demanded() {
    let mut state = state();
    state.key_due = Some(LogIndex(1));
    let rejected = Err(SecretRejection::KeyDue);
    assert_eq!(state.store(store(FIRST, None), LogIndex(2)), rejected);
    let mut cookies = store(FIRST, None);
    cookies.kind = SecretKind::DnsCookies;
    assert_eq!(state.store(cookies, LogIndex(3)), Ok(()));
    state.switch_key(switch(SECOND, 3));
    assert_eq!(state.store(store(SECOND, None), LogIndex(4)), Ok(()));
}

#[test]
fn a_secret_is_bounded() {
    let mut large = store(FIRST, None);
    large.sealed.bytes = vec![0; SEALED_SIZE_MAX + 1].into();
    let size = SecretRejection::Size(SEALED_SIZE_MAX + 1);
    assert_eq!(state().store(large, LogIndex(1)), Err(size));
}

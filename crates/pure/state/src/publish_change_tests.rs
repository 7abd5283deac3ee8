use quorate_packet::Timestamp;

use super::*;
use crate::{Deletion, UnixMillis, fixture::publish_state};

fn key(number: u32) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

fn keys(numbers: std::ops::Range<u32>) -> Vec<PublicKey> {
    numbers.map(key).collect()
}

fn add_token(name: &str, hash: u8) -> PublishChange {
    PublishChange::AddToken {
        name: name.to_owned(),
        hash: TokenHash([hash; 32]),
    }
}

fn after(state: &PublishState, changes: &[PublishChange]) -> PublishState {
    let change = |state: PublishState, change: &PublishChange| {
        let changed = change.changed(&state).unwrap();
        changed.unwrap_or(state)
    };
    changes.iter().fold(state.clone(), change)
}

#[test]
fn a_change_is_read_as_it_was_written_and_nothing_else_is_one() {
    let changes = [
        PublishChange::SetMode(PublishMode::Tokens),
        PublishChange::Allow(keys(0..3)),
        PublishChange::Disallow(Vec::new()),
        PublishChange::Deny(keys(7..8)),
        PublishChange::Undeny(keys(1..2)),
        add_token("tenant", 5),
        PublishChange::RemoveToken("tenant".to_owned()),
    ];
    for change in changes {
        let encoded = change.encode();
        for size in 0..encoded.len() {
            assert!(PublishChange::decode(encoded.slice(..size)).is_err());
        }
        let longer = [&encoded[..], b"x"].concat();
        let longer = PublishChange::decode(longer.into());
        assert_eq!(longer, Err(CommandError::Trailing(1)));
        assert_eq!(PublishChange::decode(encoded), Ok(change));
    }
    // No such change, no such mode, and a name that is no text.
    for (bytes, error) in [
        (&[0][..], CommandError::Publishing),
        (&[8], CommandError::Publishing),
        (&[1, 3], CommandError::Publishing),
        (&[7, 0, 1, 0xff], CommandError::Text),
    ] {
        let read = PublishChange::decode(Bytes::copy_from_slice(bytes));
        assert_eq!(read, Err(error), "{bytes:?}");
    }
}

#[test]
fn publishing_depends_on_mode_lists_and_tokens() {
    let [listed, denied, other] = [1, 2, 3].map(key);
    let lists = [
        PublishChange::Allow(vec![listed, denied]),
        PublishChange::Deny(vec![denied]),
        add_token("tenant", 7),
    ];
    let open = after(&PublishState::default(), &lists);
    let forbids = |state: &PublishState| [listed, denied, other].map(|key| state.forbids(&key));
    let needs = |state: &PublishState| [listed, denied, other].map(|key| state.needs_token(&key));
    assert_eq!(forbids(&open), [false, true, false]);
    assert_eq!(needs(&open), [false; 3]);

    let listed_only = after(&open, &[PublishChange::SetMode(PublishMode::AllowList)]);
    assert_eq!(forbids(&listed_only), [false, true, true]);
    assert_eq!(needs(&listed_only), [false; 3]);

    let tokens = after(&open, &[PublishChange::SetMode(PublishMode::Tokens)]);
    assert_eq!(forbids(&tokens), [false, true, false]);
    assert_eq!(needs(&tokens), [false, false, true]);
    assert!(tokens.has_token(&TokenHash([7; 32])) && !tokens.has_token(&TokenHash([8; 32])));

    let taken_back = [
        PublishChange::Disallow(vec![listed]),
        PublishChange::Undeny(vec![denied]),
        PublishChange::RemoveToken("tenant".to_owned()),
    ];
    let tokens = after(&tokens, &taken_back);
    assert_eq!(forbids(&tokens), [false; 3]);
    assert_eq!(needs(&tokens), [true, false, true]);
    assert!(!tokens.has_token(&TokenHash([7; 32])));
}

#[test]
fn changes_without_an_effect_succeed() {
    for change in [
        PublishChange::SetMode(PublishMode::AllowList),
        PublishChange::Allow(keys(0..2)),
        PublishChange::Deny(keys(0..2)),
        add_token("tenant", 7),
    ] {
        let changed = change.changed(&PublishState::default()).unwrap().unwrap();
        assert_eq!(change.changed(&changed), Ok(None), "{change:?}");
    }
    let removed = PublishChange::RemoveToken("nobody".to_owned());
    assert_eq!(removed.changed(&PublishState::default()), Ok(None));
}

#[test]
fn everything_has_a_bound() {
    let mut full = PublishState::default();
    for first in (0..).step_by(CHANGED_KEY_COUNT_MAX) {
        let last = LISTED_KEY_COUNT_MAX.min(first + CHANGED_KEY_COUNT_MAX);
        full = after(
            &full,
            &[PublishChange::Allow(keys(first as u32..last as u32))],
        );
        if last == LISTED_KEY_COUNT_MAX {
            break;
        }
    }
    let beyond = PublishRejection::ListedKeyCount(LISTED_KEY_COUNT_MAX + 1);
    for one_more in [
        PublishChange::Allow(vec![key(u32::MAX)]),
        PublishChange::Deny(vec![key(0)]),
    ] {
        assert_eq!(one_more.changed(&full), Err(beyond.clone()));
    }
    let fewer = PublishChange::Disallow(vec![key(0)]).changed(&full);
    assert!(fewer.unwrap().is_some());

    let many = PublishChange::Deny(keys(0..CHANGED_KEY_COUNT_MAX as u32 + 1));
    let refused = many.changed(&PublishState::default());
    let expected = PublishRejection::ChangedKeyCount(CHANGED_KEY_COUNT_MAX + 1);
    assert_eq!(refused, Err(expected));

    for number in 0..PUBLISH_TOKEN_COUNT_MAX {
        let name = format!("{number:0>NAME_SIZE_MAX$}");
        full.tokens.insert(name, TokenHash([1; 32]));
    }
    let one_more = add_token("one-more", 1).changed(&full);
    assert_eq!(one_more, Err(PublishRejection::TokenCount));
    for number in 0..DELETION_COUNT_MAX as u32 {
        let deletion = Deletion {
            timestamp: Timestamp::from_micros(1),
            blocked_until: Some(UnixMillis(1)),
        };
        full.deleted.insert(key(number), deletion);
    }
    let mut encoded = BytesMut::new();
    full.put(&mut encoded);
    assert!(
        encoded.len() <= crate::PUBLISHING_SIZE_MAX,
        "{}",
        encoded.len()
    );
}

#[test]
fn a_token_has_a_name_of_its_own_that_can_be_shown() {
    let state = after(&PublishState::default(), &[add_token("tenant", 1)]);
    let taken = PublishRejection::TokenExists("tenant".to_owned());
    assert_eq!(add_token("tenant", 2).changed(&state), Err(taken));
    let long = "x".repeat(NAME_SIZE_MAX + 1);
    for name in ["", "a b", "a\nb", "a\u{7f}", &long] {
        let refused = add_token(name, 1).changed(&state);
        assert_eq!(refused, Err(PublishRejection::TokenName(name.to_owned())));
    }
}

#[test]
fn no_hash_of_a_token_is_shown() {
    let shown = format!("{:?} {:?}", publish_state(), add_token("tenant", 0xab));
    assert!(shown.contains("tenant") && shown.contains("TokenHash(…)"));
    assert!(!shown.contains("171"), "{shown}");
}

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, pause, timeout};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A resolver whose answers come one by one, as the test gives them.
fn scripted() -> (Addresses, Arc<AtomicUsize>, watch::Sender<Answers>) {
    let (answers, received) = watch::channel(Answers::default());
    let lookup_count = Arc::new(AtomicUsize::new(0));
    let count = lookup_count.clone();
    let lookup = move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let mut received = received.clone();
        async move {
            let answered = received.wait_for(|answers| answers.len() > number).await;
            let answer = answered.map_err(io::Error::other)?[number];
            answer
                .map(|port| vec![at(port)])
                .ok_or(io::ErrorKind::NotFound.into())
        }
        .boxed()
    };
    (Addresses::new(Arc::new(lookup)), lookup_count, answers)
}

/// A port for each lookup, or a failure.
type Answers = Vec<Option<u16>>;

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

async fn of(addresses: &Addresses) -> Option<u16> {
    let found = timeout(TIMEOUT, addresses.of("node:1")).await.unwrap();
    found.ok().map(|addresses| addresses[0].port())
}

async fn until_known(addresses: &Addresses, port: u16) {
    let known = async {
        while of(addresses).await != Some(port) {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, known).await.expect("the lookup ends");
}

#[tokio::test]
async fn an_older_answer_is_used_while_the_resolver_hangs() {
    let (addresses, lookup_count, answers) = scripted();
    answers.send_modify(|answers| answers.push(Some(1)));
    assert_eq!(of(&addresses).await, Some(1));
    addresses.look_up("node:1");
    assert_eq!(of(&addresses).await, Some(1), "nobody has answered");
    addresses.look_up("node:1");
    assert_eq!(
        lookup_count.load(Ordering::Relaxed),
        2,
        "one lookup at a time"
    );

    answers.send_modify(|answers| answers.push(Some(2)));
    until_known(&addresses, 2).await;
}

#[tokio::test]
async fn a_resolved_address_outlives_failed_lookups() {
    let (addresses, lookup_count, answers) = scripted();
    answers.send_modify(|answers| answers.extend([Some(1), None, Some(3)]));
    assert_eq!(of(&addresses).await, Some(1));
    addresses.look_up("node:1");
    let failed = async {
        while addresses
            .names
            .of("node:1".to_owned())
            .borrow()
            .error
            .is_none()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, failed).await.unwrap();
    assert_eq!(of(&addresses).await, Some(1));
    assert_eq!(lookup_count.load(Ordering::Relaxed), 2);
    addresses.look_up("node:1");
    until_known(&addresses, 3).await;
}

#[tokio::test]
async fn a_name_that_was_never_found_is_looked_up_each_time() {
    let (addresses, _, answers) = scripted();
    answers.send_modify(|answers| answers.extend([None, Some(2)]));
    assert_eq!(of(&addresses).await, None);
    assert_eq!(of(&addresses).await, Some(2));
}

#[tokio::test]
async fn an_old_answer_is_used_and_renewed() {
    let (addresses, lookup_count, answers) = scripted();
    answers.send_modify(|answers| answers.extend([Some(1), Some(2)]));
    assert_eq!(of(&addresses).await, Some(1));
    assert_eq!(of(&addresses).await, Some(1));
    assert_eq!(lookup_count.load(Ordering::Relaxed), 1);
    pause();
    advance(AGE_MAX + Duration::from_secs(1)).await;
    assert_eq!(of(&addresses).await, Some(1), "at once");
    until_known(&addresses, 2).await;
}

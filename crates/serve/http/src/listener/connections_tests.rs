use super::*;

fn connections(count_max: usize, per_client_max: Option<usize>) -> Connections {
    let is_exempt = |address| address == client(99).ip();
    Connections::with_exempt(limits(count_max, per_client_max), Arc::new(is_exempt))
}

fn limits(connection_count_max: usize, per_client_max: Option<usize>) -> ConnectionLimits {
    ConnectionLimits {
        connection_count_max,
        connection_count_per_client_max: per_client_max,
        drain_timeout: Duration::ZERO,
    }
}

/// A client in a network of its own.
fn client(number: u8) -> SocketAddr {
    ([198, 18, number, 1], 1).into()
}

#[track_caller]
fn admit_free(connections: &Connections, address: SocketAddr) -> ConnectionSlot {
    let slot = connections.admit(address).expect("it is admitted");
    assert!(!slot.has_displaced);
    slot
}

#[track_caller]
fn admit_evicting(connections: &Connections, address: SocketAddr) -> ConnectionSlot {
    let slot = connections.admit(address).expect("it is admitted");
    assert!(slot.has_displaced);
    slot
}

fn evicted<const N: usize>(slots: [&ConnectionSlot; N]) -> [bool; N] {
    slots.map(|slot| slot.evicted().is_cancelled())
}

#[test]
fn a_client_at_its_limit_evicts_its_own_oldest() {
    let connections = connections(10, Some(2));
    let other = admit_free(&connections, client(1));
    let first = admit_free(&connections, client(2));
    let second = admit_free(&connections, client(2));
    let third = admit_evicting(&connections, client(2));
    let all = [&other, &first, &second, &third];
    assert_eq!(evicted(all), [false, true, false, false]);
}

#[test]
fn at_the_maximum_the_oldest_of_all_is_evicted() {
    let connections = connections(3, Some(2));
    let first = admit_free(&connections, client(1));
    let second = admit_free(&connections, client(2));
    let third = admit_free(&connections, client(2));
    let fourth = admit_evicting(&connections, client(3));
    let all = [&first, &second, &third, &fourth];
    assert_eq!(evicted(all), [true, false, false, false]);
}

#[test]
fn a_connection_in_use_is_not_the_oldest() {
    let connections = connections(3, Some(3));
    let first = admit_free(&connections, client(1));
    let second = admit_free(&connections, client(1));
    first.touch();
    let third = admit_free(&connections, client(1));
    let fourth = admit_evicting(&connections, client(1));
    let fifth = admit_evicting(&connections, client(1));
    let all = [&first, &second, &third, &fourth, &fifth];
    assert_eq!(evicted(all), [true, true, false, false, false]);
}

#[test]
fn an_evicted_connection_is_only_removed_once() {
    let connections = connections(2, Some(1));
    let first = admit_free(&connections, client(1));
    let second = admit_evicting(&connections, client(1));
    // It was notified, and may take some time to end.
    first.touch();
    drop(first);
    let other = admit_free(&connections, client(2));
    drop(second);
    let again = admit_free(&connections, client(1));
    assert_eq!(evicted([&other, &again]), [false, false]);
    drop((other, again));
    assert!(connections.0.lock().is_empty());
}

#[test]
fn exempt_clients_have_no_limit_of_their_own() {
    let connections = connections(3, Some(1));
    let exempt = client(99);
    let slots = [(); 3].map(|()| admit_free(&connections, exempt));
    drop(admit_evicting(&connections, exempt));
    assert_eq!(evicted(slots.each_ref()), [true, false, false]);
}

#[test]
fn an_ipv6_subscriber_is_one_client() {
    let connections = connections(9, Some(1));
    let _one = admit_free(&connections, "[2001:db8::1]:1".parse().unwrap());
    let _same = admit_evicting(&connections, "[2001:db8::2]:1".parse().unwrap());
    let _other = admit_free(&connections, "[2001:db8:0:1::1]:1".parse().unwrap());
}

#[test]
fn a_network_at_its_limit_evicts_its_own_oldest() {
    for in_same_network in [
        |host| format!("192.0.2.{host}:1"),
        |host| format!("[2001:db8:1:{host}::1]:1"),
        |host| format!("[2001:db8:{host}::1]:1"),
    ] as [fn(u8) -> String; 3]
    {
        let connections = connections(6, Some(2));
        let address = |host| in_same_network(host).parse().unwrap();
        let other = admit_free(&connections, client(1));
        let slots = [1, 2, 3, 4].map(|host| admit_free(&connections, address(host)));
        let fifth = admit_evicting(&connections, address(5));
        assert_eq!(evicted(slots.each_ref()), [true, false, false, false]);
        assert_eq!(evicted([&other, &fifth]), [false, false]);
        let _another = admit_free(&connections, client(2));
    }
}

#[test]
fn a_network_whose_connections_are_all_busy_gets_no_more() {
    let connections = connections(8, Some(2));
    let address = |host: u8| SocketAddr::from(([192, 0, 2, host], 1));
    let slots = [1, 1, 2, 2, 3].map(|host| Arc::new(admit_free(&connections, address(host))));
    let busy = slots.each_ref().map(ConnectionSlot::busy);
    assert!(connections.admit(address(4)).is_none());
    let other = admit_free(&connections, client(1));
    other.assign(address(4).ip()).unwrap_err();
    drop(busy);
    other.assign(address(4).ip()).unwrap();
    assert_eq!(
        evicted(slots.each_ref().map(|slot| &**slot)),
        [true, false, false, false, false]
    );
}

#[test]
fn without_a_limit_per_client_connections_over_the_maximum_are_rejected() {
    let connections = connections(1, None);
    let slot = admit_free(&connections, client(1));
    assert!(connections.admit(client(2)).is_none());
    assert!(!slot.evicted().is_cancelled());
    drop(slot);
    admit_free(&connections, client(2));
}

#[test]
fn more_than_half_is_crowded() {
    let connections = connections(4, Some(4));
    let slots = [(); 3].map(|()| admit_free(&connections, client(1)));
    assert!(connections.is_crowded());
    let [one, ..] = slots;
    drop(one);
    assert!(!connections.is_crowded());
}

#[test]
fn a_busy_connection_is_not_idle_however_long_it_takes() {
    let connections = connections(3, Some(2));
    let waits = Arc::new(admit_free(&connections, client(1)));
    let wait = waits.busy();
    let idle = admit_free(&connections, client(1));
    let third = admit_evicting(&connections, client(1));
    assert_eq!(evicted([&waits, &idle, &third]), [false, true, false]);

    // Several operations can be active at the same time, as with HTTP/2.
    drop(waits.busy());
    let other = admit_free(&connections, client(2));
    let fourth = admit_evicting(&connections, client(3));
    assert_eq!(evicted([&waits, &third, &other]), [false, true, false]);

    drop(wait);
    let fifth = admit_evicting(&connections, client(4));
    assert_eq!(evicted([&waits, &other, &fourth]), [false, true, false]);
    let sixth = admit_evicting(&connections, client(5));
    assert_eq!(evicted([&waits, &fourth, &fifth]), [false, true, false]);
    let _seventh = admit_evicting(&connections, client(6));
    assert_eq!(evicted([&waits, &fifth, &sixth]), [true, false, false]);
}

#[test]
fn if_all_are_busy_a_connection_over_the_maximum_is_rejected() {
    let connections = connections(3, Some(2));
    let slots = [1, 1, 2].map(|last| Arc::new(admit_free(&connections, client(last))));
    let busy = slots.each_ref().map(ConnectionSlot::busy);
    assert!(connections.admit(client(1)).is_none());
    assert!(connections.admit(client(3)).is_none());
    assert!(slots.iter().all(|slot| !slot.evicted().is_cancelled()));
    drop(busy);
    let slot = admit_evicting(&connections, client(3));
    drop((slots, slot));
    assert!(connections.0.lock().is_empty());
}

#[test]
fn a_connection_from_a_proxy_counts_for_its_client() {
    let connections = connections(9, Some(1));
    let proxy = client(99);
    let first = admit_free(&connections, proxy);
    first.assign(client(1).ip()).unwrap();
    let second = Arc::new(admit_free(&connections, proxy));
    second.assign(client(1).ip()).unwrap();
    assert_eq!(evicted([&first, &second]), [true, false]);

    let _busy = second.busy();
    let third = admit_free(&connections, proxy);
    third.assign(client(1).ip()).unwrap_err();
    third.assign(client(2).ip()).unwrap();
    assert_eq!(evicted([&second, &third]), [false, false]);
    drop((first, third, _busy, second));
    assert!(connections.0.lock().is_empty());
}

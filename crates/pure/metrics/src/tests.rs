use strum::{IntoStaticStr, VariantArray};

use crate::{GaugeGuard, Registry};

#[derive(Debug, Clone, Copy, PartialEq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum Door {
    Front,
    BackYard,
}

#[derive(Debug, Clone, Copy, PartialEq, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum Guest {
    Known,
    Stranger,
}

crate::metrics! {
    /// Figures of a house.
    struct Metrics in "house" {
        /// Rings, by door
        rings_total: Counter { door: Door },
        /// Guests that are in now, by door and guest
        guests: Gauge { door: Door, guest: Guest },
        /// Fires ever
        fires_total: Counter,
        /// Time that guests stay, in seconds
        stay_seconds: Histogram = [60.0, 3600.0],
        /// Time that doors stay open, by door, in seconds
        open_seconds: Histogram { door: Door } = [1.0],
    }
}

fn text(registry: &Registry) -> String {
    let encoder = prometheus::TextEncoder::new();
    encoder.encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn every_value_is_there_at_zero_from_the_start() {
    let registry = Registry::new();
    Metrics::register(&registry).unwrap();
    let text = text(&registry);
    for line in [
        "# HELP house_rings_total Rings, by door",
        "# TYPE house_rings_total counter",
        r#"house_rings_total{door="front"} 0"#,
        r#"house_rings_total{door="back_yard"} 0"#,
        r#"house_guests{door="back_yard",guest="stranger"} 0"#,
        "house_fires_total 0",
        r#"house_stay_seconds_bucket{le="3600"} 0"#,
        r#"house_open_seconds_bucket{door="back_yard",le="1"} 0"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_value_counts_at_its_own_place() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    metrics.rings_total.of(Door::BackYard).inc_by(2);
    metrics.fires_total.inc();
    metrics.stay_seconds.observe(60.5);
    metrics.open_seconds.of(Door::Front).observe(0.5);
    let gauge_guard = GaugeGuard::new(metrics.guests.of(Door::Front).of(Guest::Stranger));
    let inside = text(&registry);
    assert!(inside.contains(r#"house_rings_total{door="back_yard"} 2"#));
    assert!(inside.contains(r#"house_rings_total{door="front"} 0"#));
    assert!(inside.contains("house_fires_total 1"));
    assert!(inside.contains(r#"house_stay_seconds_bucket{le="60"} 0"#));
    assert!(inside.contains(r#"house_open_seconds_bucket{door="front",le="1"} 1"#));
    assert!(inside.contains(r#"house_stay_seconds_bucket{le="3600"} 1"#));
    assert!(inside.contains(r#"house_guests{door="front",guest="stranger"} 1"#));
    assert!(inside.contains(r#"house_guests{door="front",guest="known"} 0"#));
    drop(gauge_guard);
    assert!(text(&registry).contains(r#"house_guests{door="front",guest="stranger"} 0"#));
}

#[test]
fn a_name_is_given_once() {
    let registry = Registry::new();
    Metrics::register(&registry).unwrap();
    assert!(Metrics::register(&registry).is_err());
}

//! Prometheus metrics, each declared once.
//! A crate declares its metrics as one struct: the crate's prefix and the name of a field form the name of
//! the metric, and the doc comment of the field is the help text. Labels are enums, so their values are
//! closed sets, and every value exists from the start, at zero.
//!
//! ```
//! #[derive(Debug, Clone, Copy, PartialEq, strum::VariantArray, strum::IntoStaticStr)]
//! #[strum(serialize_all = "snake_case")]
//! enum Outcome { Stored, TooLong }
//!
//! quorate_metrics::metrics! {
//!     /// Metrics of a relay.
//!     struct Metrics in "quorate_relay" {
//!         /// PUTs answered, by outcome
//!         puts_total: Counter { outcome: Outcome },
//!         /// Time of a PUT, in seconds
//!         put_duration_seconds: Histogram = [0.001, 0.01, 0.1],
//!     }
//! }
//!
//! let registry = quorate_metrics::Registry::new();
//! let metrics = Metrics::register(&registry).unwrap();
//! metrics.puts_total.of(Outcome::TooLong).inc();
//! assert_eq!(registry.gather()[1].name(), "quorate_relay_puts_total");
//! ```
//!
//! | piece | what it is |
//! |---|---|
//! | [`metrics!`] | declares a struct of metrics and its `register` |
//! | [`Counter`], [`Gauge`], [`Histogram`] | metrics without a label, as in `prometheus` |
//! | [`Labelled`] | one for each value of a label |
//! | [`Label`] | an enum whose variants are the values of a label |
//! | [`GaugeGuard`] | adds one to a gauge while it lives |

mod gauge_guard;
mod label;
mod metric_type;

pub use gauge_guard::GaugeGuard;
pub use label::{Label, Labelled};
pub use metric_type::{MetricType, register};
pub use prometheus::{
    Error, Histogram, IntCounter as Counter, IntGauge as Gauge, Registry, core::Collector,
};

/// Declares a struct of metrics and its `register`.
///
/// Each field is `name: Kind`, where the kind is [`Counter`], [`Gauge`] or [`Histogram`], followed
/// by `{ label: Enum, … }` for one of each value, and for a histogram by `= [upper bounds]`. The
/// metric is called `<prefix>_<name>`, and its help is the doc comment, which must be one line.
#[macro_export]
macro_rules! metrics {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident in $prefix:literal {
            $(
                #[doc = $help:literal]
                $field_vis:vis $field:ident: $kind:ident $({ $($labels:tt)* })? $(= $buckets:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $(
                #[doc = $help]
                $field_vis $field: $crate::metrics!(@type $kind $({ $($labels)* })?),
            )*
        }

        impl $name {
            /// Registers the metrics. Fails if a name is already registered.
            $vis fn register(registry: &$crate::Registry) -> Result<Self, $crate::Error> {
                Ok(Self {
                    $($field: {
                        let name = concat!($prefix, "_", stringify!($field));
                        let help = $help.trim();
                        $crate::metrics!(
                            @register registry, name, help, $kind $({ $($labels)* })? $(= $buckets)?
                        )?
                    },)*
                })
            }
        }
    };
    (@type $kind:ident) => { $crate::$kind };
    (@type $kind:ident { $label:ident: $values:ty $(, $($others:tt)+)? }) => {
        $crate::Labelled<$crate::metrics!(@type $kind $({ $($others)+ })?), $values>
    };
    (@register $registry:ident, $name:ident, $help:ident, Histogram $({ $($labels:tt)* })?) => {
        compile_error!("a histogram needs the upper bounds of its buckets")
    };
    (@register $registry:ident, $name:ident, $help:ident, $kind:ident $({ $($labels:tt)* })?) => {
        $crate::metrics!(@register $registry, $name, $help, $kind $({ $($labels)* })? = [])
    };
    (
        @register $registry:ident, $name:ident, $help:ident,
        $kind:ident $({ $($label:ident: $values:ty),* })? = $buckets:expr
    ) => {
        $crate::register($registry, $name, $help, &[$($(stringify!($label)),*)?], &$buckets)
    };
}

#[cfg(test)]
mod tests;

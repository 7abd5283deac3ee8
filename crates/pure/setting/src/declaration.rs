//! The declaration of settings.

/// Declares a struct of settings.
///
/// Each is `key: Type = default;`, or `key: Type = default, in min..=max, "why";` with bounds, and
/// its doc comment is the help for users. The type of a setting is a [`Form`](crate::Form), as is the
/// struct itself. Fields in `fixed { … }` behind the struct are part of it, with their defaults,
/// and no operator sets them.
#[macro_export]
macro_rules! settings {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $help:literal])*
                $key:ident: $type:ty = $default:expr
                    $(, in $bounds:expr, $why:expr)?;
            )*
        }
        $(fixed {
            $(
                $(#[doc = $fixed_help:literal])*
                $fixed:ident: $fixed_type:ty = $fixed_default:expr;
            )*
        })?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $( $(#[doc = $help])* $vis $key: $type, )*
            $($( $(#[doc = $fixed_help])* $vis $fixed: $fixed_type, )*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* $($( $fixed: $fixed_default, )*)? }
            }
        }

        impl $crate::Form for $name {
            fn read(
                value: &$crate::Value,
                at: &$crate::KeyPath,
                laid: &mut $crate::Laid,
            ) -> Option<Self> {
                let refused_before = laid.refused.len();
                let mut read = Self::default();
                $crate::Form::lay(&mut read, value, at, laid);
                (laid.refused.len() == refused_before).then_some(read)
            }

            fn value(&self) -> $crate::Value {
                let mut table = $crate::Table::new();
                $( table.insert(stringify!($key).to_owned(), $crate::Form::value(&self.$key)); )*
                $crate::Value::Table(table)
            }

            fn lay(
                &mut self,
                value: &$crate::Value,
                at: &$crate::KeyPath,
                laid: &mut $crate::Laid,
            ) {
                let table: Option<$crate::Table> = laid.read(value, at);
                for (key, value) in table.into_iter().flatten() {
                    let at = at.key(&key);
                    match key.as_str() {
                        $( stringify!($key) => {
                            $crate::Form::lay(&mut self.$key, &value, &at, laid)
                        } )*
                        _ => laid.refuse_key(&key, &at, &<Self as $crate::Form>::declared()),
                    }
                }
            }

            fn check(&self, at: &$crate::KeyPath, findings: &mut $crate::Findings) {
                $(
                    let key = at.key(stringify!($key));
                    $crate::Form::check(&self.$key, &key, findings);
                    $( findings.bound(key, &self.$key, &$bounds, $why); )?
                )*
            }

            fn declared() -> Vec<$crate::Setting> {
                let default = Self::default();
                vec![$(
                    $crate::Setting {
                        key: stringify!($key),
                        help: concat!($($help, "\n",)*),
                        bounds: $crate::settings!(@option $({
                            let bounds: std::ops::RangeInclusive<$type> = $bounds;
                            format!("{} to {}", bounds.start(), bounds.end())
                        })?),
                        default: $crate::Form::value(&default.$key),
                        inner: <$type as $crate::Form>::declared(),
                    },
                )*]
            }
        }
    };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
}

//! The macro that declares settings.

/// Declares a struct of settings.
///
/// A setting is written `key: Type = default;`, or with bounds
/// `key: Type = default, in min..=max, "why";`. Its doc comment is the help that users read. Its
/// type must implement [`SettingValue`](crate::SettingValue), and so does the declared struct.
/// Fields in `fixed { … }` after the struct are part of it: they always have their defaults, and
/// operators cannot set them.
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

        impl $crate::SettingValue for $name {
            fn read(
                value: &$crate::Value,
                at: &$crate::KeyPath,
                merged: &mut $crate::Merged,
            ) -> Option<Self> {
                let rejected_before = merged.rejected.len();
                let mut read = Self::default();
                $crate::SettingValue::merge(&mut read, value, at, merged);
                (merged.rejected.len() == rejected_before).then_some(read)
            }

            fn value(&self) -> $crate::Value {
                let mut table = $crate::Table::new();
                $( table.insert(stringify!($key).to_owned(), $crate::SettingValue::value(&self.$key)); )*
                $crate::Value::Table(table)
            }

            fn merge(
                &mut self,
                value: &$crate::Value,
                at: &$crate::KeyPath,
                merged: &mut $crate::Merged,
            ) {
                let table: Option<$crate::Table> = merged.read(value, at);
                for (key, value) in table.into_iter().flatten() {
                    let at = at.key(&key);
                    match key.as_str() {
                        $( stringify!($key) => {
                            $crate::SettingValue::merge(&mut self.$key, &value, &at, merged)
                        } )*
                        _ => merged.reject_unknown_key(&key, &at, &<Self as $crate::SettingValue>::declared()),
                    }
                }
            }

            fn check(&self, at: &$crate::KeyPath, findings: &mut $crate::Findings) {
                $(
                    let key = at.key(stringify!($key));
                    $crate::SettingValue::check(&self.$key, &key, findings);
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
                        default: $crate::SettingValue::value(&default.$key),
                        inner: <$type as $crate::SettingValue>::declared(),
                    },
                )*]
            }
        }
    };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
}

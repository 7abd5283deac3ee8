use std::collections::BTreeMap;

use crate::{Findings, KeyPath, Merged, SettingValue, Value};

crate::settings! {
    /// Settings of a test.
    struct Outer {
        /// A number.
        number: u32 = 5, in 1..=9, "it has one digit";
        /// A list.
        list: Vec<u32> = vec![1];
        /// A map.
        map: BTreeMap<String, bool> = BTreeMap::new();
        /// Tables.
        ///
        /// Two of them.
        inner: Vec<Inner> = Vec::new();
    }
    fixed {
        /// Not a setting.
        fixed: bool = true;
    }
}

crate::settings! {
    /// Settings inside settings.
    struct Inner {
        /// A text.
        text: String = "a".into();
        /// Another number.
        number: u64 = 1, in 0..=1, "it is a bit";
    }
}

fn merge(text: &str) -> (Outer, Merged) {
    let mut outer = Outer::default();
    let mut merged = Merged::default();
    let table = Value::Table(text.parse().unwrap());
    outer.merge(&table, &KeyPath::default(), &mut merged);
    (outer, merged)
}

fn rejected(text: &str) -> Vec<String> {
    let message = |(key, reason)| format!("{key}: {reason}");
    merge(text).1.rejected.into_iter().map(message).collect()
}

#[test]
fn a_setting_that_is_not_given_keeps_its_default() {
    let (outer, merged) = merge("number = 3\ninner = [{ number = 0 }]");
    assert_eq!((outer.number, &outer.list), (3, &vec![1]));
    assert!(outer.fixed);
    let inner = Inner {
        number: 0,
        ..Inner::default()
    };
    assert_eq!(outer.inner, [inner]);
    let set: Vec<_> = merged.set.iter().map(KeyPath::to_string).collect();
    assert_eq!(set, ["number", "inner[0].number", "inner"]);
}

#[test]
fn each_mistake_is_reported_with_its_key() {
    let text =
        "list = [1, \"b\", -1]\nmap = { a = 1, b = true }\nnumber = 7\ninner = [{ txt = 1 }, 3]";
    assert_eq!(
        rejected(text),
        [
            "list[1]: \"b\" is not a whole number",
            "list[2]: -1 is not a whole number",
            "map.a: 1 is not true or false",
            "inner[0].txt: unknown field `txt`, expected one of `text`, `number`",
            "inner[1]: invalid type: integer `3`, expected a map",
        ]
    );
    let (outer, _) = merge(text);
    assert_eq!(
        (outer.number, outer.list, outer.inner),
        (7, vec![1], vec![])
    );
    assert_eq!(
        rejected("list = 1"),
        ["list: invalid type: integer `1`, expected a sequence"]
    );
}

#[test]
fn a_fixed_field_cannot_be_set() {
    assert_eq!(
        rejected("fixed = false"),
        ["fixed: unknown field `fixed`, expected one of `number`, `list`, `map`, `inner`"]
    );
    assert_eq!(Outer::default().value().get("fixed"), None);
}

#[test]
fn a_value_out_of_bounds_is_reported_with_the_reason() {
    let (outer, _) = merge("number = 10\ninner = [{}, { number = 2 }]");
    let mut findings = Findings::default();
    outer.check(&KeyPath::default(), &mut findings);
    let errors = findings.errors.iter();
    let errors: Vec<_> = errors.map(|e| format!("{}: {}", e.key, e.reason)).collect();
    assert_eq!(
        errors,
        [
            "number: 10 is not between 1 and 9: it has one digit",
            "inner[1].number: 2 is not between 0 and 1: it is a bit",
        ]
    );
}

#[test]
fn a_written_value_can_be_read_again() {
    let (outer, _) = merge("number = 3\nmap = { a = true }\ninner = [{ text = \"b\" }]");
    let (again, merged) = merge(&toml::to_string(&outer.value()).unwrap());
    assert!(merged.rejected.is_empty());
    assert_eq!(again, outer);
}

#[test]
fn declared_settings_describe_themselves() {
    let declared = Outer::declared();
    let [number, .., inner] = &declared[..] else {
        panic!("four settings")
    };
    assert_eq!(number.key, "number");
    assert_eq!(number.help, " A number.\n");
    assert_eq!(number.bounds.as_deref(), Some("1 to 9"));
    assert_eq!(number.default, Value::Integer(5));
    assert_eq!(inner.inner.len(), 2);
}

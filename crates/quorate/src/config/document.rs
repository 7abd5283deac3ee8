//! Documents of the settings: the commented example file and the reference page.

use std::fmt::Write;

use quorate_setting::{KeyPath, Merged, Setting, SettingValue, Value};

use super::ConfigV1;

/// The longest line of an example, in characters.
const WIDTH: usize = 100;

const EXAMPLE_HEADER: &str = "\
# A Quorate node. Written by `quorate config example`.
#
# Change first:
#   1. [peer] advertise      where other nodes reach this one
#   2. [cluster] node_name   how operators call it, such as ns1
#   3. [[dns.origins]]       the zone to serve, and the addresses of its name servers
#   4. data_dir              where the data is stored
# Then:
#   quorate config check quorate.toml
#   quorate init --found --config quorate.toml                 # once, on the first machine only
#   quorate serve --config quorate.toml
#
# This is a cluster of one node. It survives restarts and power cuts, but not the loss of its disk: add two
# more nodes. For each, run the first command on a node that runs, and the second on the new machine, whose
# file has its own advertise, node_name and addresses:
#   quorate member add                                         # prints a token
#   quorate serve --config quorate.toml --join TOKEN           # later without --join
#
# A setting behind a # has its default. Every setting can also be set by an environment variable: [http]
# listen by QUORATE_HTTP_LISTEN. `quorate config show` prints which value is in use and where it comes from.
";

const REFERENCE_HEADER: &str = "\
# Configuration

Every setting, printed by `quorate config reference` from the declarations in the program.
[config/quorate.toml](../config/quorate.toml) is a commented example.

Settings come from the built-in defaults, the file (TOML), environment variables and flags. A later one overrides an earlier one.
Every setting except `version` and those inside an origin can be set by an environment variable: `http.listen` by `QUORATE_HTTP_LISTEN`, with commas between the items of a list.
`data_dir` and the four `listen` are also flags of `serve` and `init`: `http.listen` is `--http-listen`.
`quorate config check FILE` reports every mistake with file, line, key and reason. `quorate config show` prints where each value comes from.
";

pub(crate) fn example() -> String {
    let mut out = EXAMPLE_HEADER.to_owned();
    let example = config_of_example().value();
    out.push('\n');
    write_table(
        &mut out,
        &ConfigV1::declared(),
        &example,
        &KeyPath::default(),
    );
    out
}

/// The example: the first node of a cluster, with one zone.
fn config_of_example() -> ConfigV1 {
    let settings = toml::toml! {
        [peer]
        advertise = "node1.example.org:7700"

        [[dns.origins]]
        name = "dns.example.org."
        ns = ["ns1.dns.example.org.", "ns2.dns.example.org.", "ns3.dns.example.org."]
        a = ["192.0.2.1"]
        aaaa = ["2001:db8::1"]

        [dns.origins.ns_addresses]
        "ns1.dns.example.org." = ["192.0.2.1", "2001:db8::1"]
        "ns2.dns.example.org." = ["192.0.2.2", "2001:db8::2"]
        "ns3.dns.example.org." = ["192.0.2.3", "2001:db8::3"]
    };
    let mut config = ConfigV1::default();
    config.merge(
        &settings.into(),
        &KeyPath::default(),
        &mut Merged::default(),
    );
    config
}

/// Writes the settings of a table: values first, then nested tables, as TOML requires. A setting with its
/// default value is commented out.
fn write_table(out: &mut String, settings: &[Setting], table: &Value, at: &KeyPath) {
    let is_block = |setting: &&Setting| match &table[setting.key] {
        Value::Table(table) => !table.is_empty(),
        Value::Array(elements) => elements.first().is_some_and(Value::is_table),
        _ => false,
    };
    let (blocks, leaves): (Vec<&Setting>, Vec<&Setting>) = settings.iter().partition(is_block);
    for setting in leaves {
        write_help(out, setting);
        let value = &table[setting.key];
        // The version is always written.
        let is_default = *value == setting.default && setting.key != "version";
        let _ = match is_default {
            // A comment is one line, so that who removes its sign has a setting.
            true => writeln!(out, "# {} = {value}", setting.key),
            false => writeln!(out, "{} = {}", setting.key, text(value)),
        };
    }
    for setting in blocks {
        let path = at.key(setting.key);
        out.push('\n');
        write_help(out, setting);
        match &table[setting.key] {
            Value::Array(elements) => {
                for element in elements {
                    let _ = writeln!(out, "[[{path}]]");
                    write_table(out, &setting.inner, element, &path);
                }
            }
            Value::Table(map) if setting.inner.is_empty() => {
                let _ = write!(out, "[{path}]\n{map}");
            }
            table => {
                let _ = writeln!(out, "[{path}]");
                write_table(out, &setting.inner, table, &path);
            }
        }
    }
}

fn write_help(out: &mut String, setting: &Setting) {
    for line in setting.help.lines() {
        let _ = writeln!(out, "#{line}");
    }
    if let Some(bounds) = &setting.bounds {
        let _ = writeln!(out, "# From {bounds}.");
    }
}

/// Formats a value, with one line for each element of a long list.
fn text(value: &Value) -> String {
    let short = value.to_string();
    match value {
        Value::Array(elements) if short.len() > WIDTH => {
            let lines = elements.iter().map(|element| format!("    {element},\n"));
            format!("[\n{}]", lines.collect::<String>())
        }
        _ => short,
    }
}

/// The reference page, in Markdown.
pub(crate) fn reference() -> String {
    let mut out = REFERENCE_HEADER.to_owned();
    let (sections, general): (Vec<Setting>, Vec<Setting>) = ConfigV1::declared()
        .into_iter()
        .partition(|setting| !setting.inner.is_empty());
    out.push_str("\n## General\n\n");
    write_rows(&mut out, &general, "");
    for section in &sections {
        let (key, help) = (section.key, in_one_line(section.help));
        let _ = write!(out, "\n## [{key}]\n\n{help}\n\n");
        write_rows(&mut out, &section.inner, &format!("{key}."));
    }
    out
}

fn write_rows(out: &mut String, settings: &[Setting], prefix: &str) {
    out.push_str("| setting | default | allowed | meaning |\n|---|---|---|---|\n");
    write_settings(out, settings, prefix);
}

fn write_settings(out: &mut String, settings: &[Setting], prefix: &str) {
    for setting in settings {
        // A table is described by its settings, a list of tables also by its default.
        let (default, below) = match &setting.default {
            Value::Table(_) if !setting.inner.is_empty() => (String::new(), "."),
            default => (format!("`{default}`"), "[]."),
        };
        let bounds = setting.bounds.as_deref().unwrap_or_default();
        let help = in_one_line(setting.help);
        let key = format!("{prefix}{}", setting.key);
        let _ = writeln!(out, "| `{key}` | {default} | {bounds} | {help} |");
        write_settings(out, &setting.inner, &format!("{key}{below}"));
    }
}

/// Escapes help for Markdown: `<key>` would be HTML.
fn in_one_line(help: &str) -> String {
    let words: Vec<&str> = help.split_whitespace().collect();
    words.join(" ").replace('<', "\\<")
}

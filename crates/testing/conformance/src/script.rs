//! Parses scripts.

use std::{collections::BTreeMap, fs, path::Path};

use pkarr::Keypair;

use crate::{
    Case, Packet,
    packet::{self, Published},
    presentation::{class, data, hex, name, type_number, words},
};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

#[derive(Debug)]
pub struct Script {
    /// The name of the file, without its extension.
    pub name: String,
    /// The settings below `[dns]` in a configuration file, except the addresses to listen on.
    pub config: String,
    /// The packets to publish before the cases run.
    pub packets: Vec<Packet>,
    pub cases: Vec<Case>,
}

/// All scripts, sorted by name. Panics, with file and line, if one of them cannot be parsed.
pub fn scripts() -> Vec<Script> {
    let files = fs::read_dir(DIR).expect("the scripts are in the source tree");
    let mut files: Vec<_> = files
        .map(|file| file.expect("it is there").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Script {
    let name = file.file_stem().expect("it has a name").to_string_lossy();
    let text = fs::read_to_string(file).expect("scripts are text");
    let config = |name: &str| {
        let text = fs::read_to_string(Path::new(DIR).join(name));
        text.map_err(|error| format!("{name}: {error}"))
    };
    Script::parse(&name, &text, config).unwrap_or_else(|error| panic!("{error}"))
}

/// The block that the last unindented line began.
enum Block {
    None,
    Key(Box<Key>),
    Case(Box<Case>),
}

/// The packet of a key.
struct Key {
    keys: Keypair,
    compress: bool,
    records: Vec<Published>,
    bytes: Vec<u8>,
}

struct Parser<'a> {
    script: Script,
    /// The values of `$name`.
    variables: BTreeMap<String, String>,
    block: Block,
    config: &'a dyn Fn(&str) -> Result<String, String>,
}

impl Script {
    /// Parses a script. `config` returns the text of a settings file.
    pub(crate) fn parse(
        script: &str,
        text: &str,
        config: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let mut parser = Parser {
            script: Self {
                name: script.to_owned(),
                config: String::new(),
                packets: Vec::new(),
                cases: Vec::new(),
            },
            variables: BTreeMap::new(),
            block: Block::None,
            config: &config,
        };
        let mut at = String::new();
        for (number, line) in text.lines().enumerate() {
            at = format!("{script}.txt:{}", number + 1);
            parser
                .line(&at, line)
                .map_err(|error| format!("{at}: {error}"))?;
        }
        parser
            .end_block()
            .map_err(|error| format!("{at}: {error}"))?;
        Ok(parser.script)
    }
}

impl Parser<'_> {
    fn line(&mut self, at: &str, line: &str) -> Result<(), String> {
        let line = self.expand(line)?;
        let words = words(&line);
        let Some((keyword, rest)) = words.split_first() else {
            return Ok(());
        };
        if line.starts_with(char::is_whitespace) {
            return match &mut self.block {
                Block::None => Err("this line belongs to no block".to_owned()),
                Block::Key(key) => key.read(&words),
                Block::Case(case) => case.read(&words),
            };
        }
        self.end_block()?;
        match (keyword.as_str(), rest) {
            ("config", [file]) => self.script.config = (self.config)(file)?,
            ("let", [name, is, value @ ..]) if is == "=" => {
                self.variables.insert(name.clone(), value.join(" "));
            }
            ("key", [name, options @ ..]) => {
                let keys = packet::keys(&self.script.name, name);
                let z32 = keys.to_z32();
                self.variables
                    .insert(name.to_uppercase(), z32.to_uppercase());
                self.variables.insert(format!("{name}Alias"), alias(&z32));
                self.variables.insert(name.clone(), z32);
                self.block = Block::Key(Box::new(Key {
                    keys,
                    compress: match options {
                        [] => false,
                        [word] if word == "compressed" => true,
                        _ => return Err(format!("{options:?} is not an option of a key")),
                    },
                    records: Vec::new(),
                    bytes: Vec::new(),
                }));
            }
            ("case", _) => {
                let (_, title) = line.split_once("case ").ok_or("a case has a title")?;
                self.block = Block::Case(Box::new(Case::new(at.to_owned(), title.trim())?));
            }
            _ => return Err(format!("{keyword:?} does not begin a block")),
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), String> {
        match std::mem::replace(&mut self.block, Block::None) {
            Block::None => {}
            // A key without records exists only to be queried.
            Block::Key(key) if key.records.is_empty() && key.bytes.is_empty() => {}
            Block::Key(key) => self.script.packets.push(key.packet()?),
            Block::Case(case) if case.queries.is_empty() => {
                return Err(format!("{}: it has no query", case.title));
            }
            Block::Case(case) => self.script.cases.push(*case),
        }
        Ok(())
    }

    /// Replaces the variables in a line by their values.
    fn expand(&self, line: &str) -> Result<String, String> {
        let mut parts = line.split('$');
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|char: char| !char.is_ascii_alphanumeric());
            let (name, rest) = part.split_at(end.unwrap_or(part.len()));
            let value = self.variables.get(name);
            expanded += value.ok_or_else(|| format!("${name} is not defined"))?;
            expanded += rest;
        }
        Ok(expanded)
    }
}

/// Another spelling of the same key: four bits of the last symbol are ignored.
fn alias(z32: &str) -> String {
    let (start, last) = z32.split_at(z32.len() - 1);
    let other = if last == "y" { "b" } else { "t" };
    format!("{start}{other}")
}

impl Key {
    /// Parses `NAME TTL [CLASS] TYPE DATA`, or `bytes` and digits.
    fn read(&mut self, words: &[String]) -> Result<(), String> {
        if let [keyword, digits @ ..] = words
            && keyword == "bytes"
        {
            self.bytes.extend(hex(&digits.concat())?);
            return Ok(());
        }
        let zone = name(&format!("{}.", self.keys.to_z32()), None)?;
        let [owner, ttl, rest @ ..] = words else {
            return Err("a record is `NAME TTL [CLASS] TYPE DATA`".to_owned());
        };
        let class_of = rest.first().and_then(|word| class(word));
        let rest = &rest[usize::from(class_of.is_some())..];
        let (record_type, words) = rest.split_first().ok_or("the type is missing")?;
        let record_type = type_number(record_type)?;
        self.records.push(Published {
            owner: name(owner, Some(&zone))?,
            record_type,
            class: class_of.unwrap_or(1),
            ttl: ttl.parse().map_err(|_| format!("{ttl:?} is not a TTL"))?,
            data: data(record_type, words, Some(&zone))?,
        });
        Ok(())
    }

    fn packet(&self) -> Result<Packet, String> {
        let dns = match self.bytes.is_empty() {
            true => packet::message(&self.records, self.compress)?,
            false => self.bytes.clone(),
        };
        Ok(Packet::sign(&self.keys, &dns))
    }
}

//! The files of a crate and their modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use syn::{Attribute, Item, Meta, Visibility};

/// A module by its path from the root of its crate, which is empty for the root itself.
pub(crate) type ModulePath = Vec<String>;

/// One crate, without its tests.
#[derive(Default)]
pub(crate) struct SourceCrate {
    dir: PathBuf,
    pub(crate) modules: BTreeMap<ModulePath, Module>,
    files: Vec<SourceFile>,
}

/// The content of one file, or of a module inside a file.
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    pub(crate) items: Vec<Item>,
}

pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) line_count: usize,
    pub(crate) public_types: BTreeSet<String>,
}

/// The folders of all crates below `dir`.
pub(crate) fn crate_dirs(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        match path.is_dir() {
            true if path.join("Cargo.toml").exists() => dirs.push(path),
            true => dirs.extend(crate_dirs(&path)?),
            false => {}
        }
    }
    dirs.sort();
    Ok(dirs)
}

/// All Rust files below `dir`, tests included.
pub(crate) fn rust_files(dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path.display().to_string());
        }
    }
    Ok(files)
}

impl SourceCrate {
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let mut source = Self {
            dir: dir.to_owned(),
            ..Self::default()
        };
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| dir.join(root));
        let root = roots.into_iter().find(|root| root.exists());
        let root = root.context("the crate has neither src/lib.rs nor src/main.rs")?;
        source.read_file(&root, Vec::new())?;
        Ok(source)
    }

    /// Whether the crate is part of the product.
    pub(crate) fn is_product(&self) -> bool {
        !self
            .dir
            .components()
            .any(|part| part.as_os_str() == "testing")
    }

    pub(crate) fn files(&self) -> &[SourceFile] {
        &self.files
    }

    fn read_file(&mut self, file: &Path, module: ModulePath) -> anyhow::Result<()> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        self.files.push(SourceFile {
            path: file.to_owned(),
            line_count: line_count(&text, &parsed.items),
            public_types: public_types(&parsed.items),
        });
        let is_root = ["lib.rs", "main.rs", "mod.rs"]
            .iter()
            .any(|name| file.ends_with(name));
        let dir = file
            .parent()
            .expect("a file has a parent directory")
            .to_owned();
        let children = match is_root {
            true => dir.clone(),
            false => file.with_extension(""),
        };
        self.read_items(file, &dir, &children, module, parsed.items)
    }

    fn read_items(
        &mut self,
        file: &Path,
        dir: &Path,
        children: &Path,
        module: ModulePath,
        items: Vec<Item>,
    ) -> anyhow::Result<()> {
        let items: Vec<_> = items
            .into_iter()
            .filter(|item| !is_test(attributes(item)))
            .collect();
        for item in &items {
            let Item::Mod(child) = item else { continue };
            let name = child.ident.to_string();
            let path = [&module[..], std::slice::from_ref(&name)].concat();
            match &child.content {
                Some((_, items)) => {
                    self.read_items(file, dir, &children.join(&name), path, items.clone())?;
                }
                None => self.read_file(&child_file(dir, children, &name, &child.attrs), path)?,
            }
        }
        let file = file.to_owned();
        self.modules.insert(module, Module { file, items });
        Ok(())
    }
}

fn child_file(dir: &Path, children: &Path, name: &str, attributes: &[Attribute]) -> PathBuf {
    let path_attribute = attributes
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(value) => match &value.lit {
                    syn::Lit::Str(path) => Some(dir.join(path.value())),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
    let sibling = children.join(format!("{name}.rs"));
    path_attribute.unwrap_or_else(|| match sibling.exists() {
        true => sibling,
        false => children.join(name).join("mod.rs"),
    })
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn public_types(items: &[Item]) -> BTreeSet<String> {
    let named = items.iter().filter_map(|item| match item {
        Item::Enum(item) => Some((&item.vis, &item.ident)),
        Item::Struct(item) => Some((&item.vis, &item.ident)),
        Item::Trait(item) => Some((&item.vis, &item.ident)),
        Item::Type(item) => Some((&item.vis, &item.ident)),
        _ => None,
    });
    let public = named.filter(|(visibility, _)| matches!(visibility, Visibility::Public(_)));
    public.map(|(_, name)| name.to_string()).collect()
}

/// Lines that are neither blank nor a comment nor a test.
fn line_count(text: &str, items: &[Item]) -> usize {
    use syn::spanned::Spanned;

    let tests: Vec<_> = items
        .iter()
        .filter(|item| is_test(attributes(item)))
        .map(|item| item.span())
        .map(|span| span.start().line..=span.end().line)
        .collect();
    let counts = |(number, line): &(usize, &str)| {
        let line = line.trim();
        let is_test = tests.iter().any(|test| test.contains(&(number + 1)));
        !line.is_empty() && !line.starts_with("//") && !is_test
    };
    text.lines().enumerate().filter(counts).count()
}

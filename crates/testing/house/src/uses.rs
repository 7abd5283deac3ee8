//! Finds which file uses which.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree, Visibility};

use crate::source::{ModulePath, SourceCrate};

/// The most re-exports of a name that are followed. More means that a name re-exports itself.
const HOP_COUNT_MAX: usize = 16;

/// Where a name inside a crate comes from, segment by segment.
type NamePath = Vec<String>;

/// The files of `source` by name, and which others each of them uses.
pub(crate) fn uses(source: &SourceCrate) -> BTreeMap<String, BTreeSet<String>> {
    let names = Names::of(source);
    let mut uses = BTreeMap::<_, BTreeSet<_>>::new();
    for (path, module) in &source.modules {
        let scope = &names.scopes[path];
        let paths = module.items.iter().flat_map(paths);
        let imported = scope.imports.values().chain(&scope.globs);
        let used = imported
            .filter(|import| !import.is_handed_on)
            .map(|import| import.path.clone())
            .chain(paths)
            .filter_map(|name| names.find(&name, path, 0))
            .map(|found| source.modules[&found].file.display().to_string());
        let file = module.file.display().to_string();
        let entry = uses.entry(file.clone()).or_default();
        entry.extend(used.filter(|used| *used != file));
    }
    uses
}

/// The names that the modules of a crate define and re-export.
struct Names {
    scopes: BTreeMap<ModulePath, Scope>,
}

#[derive(Default)]
struct Scope {
    imports: BTreeMap<String, Import>,
    globs: Vec<Import>,
}

struct Import {
    path: NamePath,
    is_handed_on: bool,
}

impl Names {
    fn of(source: &SourceCrate) -> Self {
        let scopes = source.modules.iter().map(|(path, module)| {
            let mut scope = Scope::default();
            for item in &module.items {
                if let Item::Use(item) = item {
                    let is_handed_on = !matches!(item.vis, Visibility::Inherited);
                    scope.import(Vec::new(), &item.tree, is_handed_on);
                }
            }
            (path.clone(), scope)
        });
        Self {
            scopes: scopes.collect(),
        }
    }

    /// The module that defines `name`, as `module` calls it. `None` if it is outside the crate or
    /// is a module itself.
    fn find(&self, name: &[String], module: &[String], hop_count: usize) -> Option<ModulePath> {
        if hop_count > HOP_COUNT_MAX {
            return None;
        }
        let (first, rest) = name.split_first()?;
        match first.as_str() {
            "crate" => self.walk(Vec::new(), rest, hop_count),
            "self" => self.walk(module.to_vec(), rest, hop_count),
            "super" => {
                let (_, parent) = module.split_last()?;
                let name = [&["self".to_owned()], rest].concat();
                self.find(&name, parent, hop_count)
            }
            _ if self.knows(module, first) => self.walk(module.to_vec(), name, hop_count),
            _ => None,
        }
    }

    fn knows(&self, module: &[String], name: &str) -> bool {
        let child = [module, &[name.to_owned()]].concat();
        let scope = &self.scopes[module];
        self.scopes.contains_key(&child) || scope.imports.contains_key(name)
    }

    /// Follows `name` from `module` down, and through re-exports.
    fn walk(&self, module: ModulePath, name: &[String], hop_count: usize) -> Option<ModulePath> {
        let (first, rest) = name.split_first()?;
        if first == "super" {
            let name = [&["super".to_owned()], rest].concat();
            return self.find(&name, &module, hop_count + 1);
        }
        let child = [&module[..], std::slice::from_ref(first)].concat();
        if self.scopes.contains_key(&child) {
            return self.walk(child, rest, hop_count);
        }
        match self.scopes[&module].imports.get(first) {
            Some(import) => {
                let name = [&import.path[..], rest].concat();
                self.find(&name, &module, hop_count + 1)
            }
            None => Some(module),
        }
    }
}

impl Scope {
    fn import(&mut self, mut path: NamePath, tree: &UseTree, is_handed_on: bool) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.import(path, &tree.tree, is_handed_on);
            }
            UseTree::Group(tree) => {
                for tree in &tree.items {
                    self.import(path.clone(), tree, is_handed_on);
                }
            }
            UseTree::Name(tree) => {
                let name = match (tree.ident.to_string(), path.last()) {
                    (name, Some(last)) if name == "self" => last.clone(),
                    (name, _) => {
                        path.push(name.clone());
                        name
                    }
                };
                self.imports.insert(name, Import { path, is_handed_on });
            }
            UseTree::Rename(tree) => {
                path.push(tree.ident.to_string());
                let name = tree.rename.to_string();
                self.imports.insert(name, Import { path, is_handed_on });
            }
            UseTree::Glob(_) => {
                path.push("*".to_owned());
                self.globs.push(Import { path, is_handed_on });
            }
        }
    }
}

/// All `a::b` in an item, those in macros included. Modules inside it are separate.
fn paths(item: &Item) -> Vec<NamePath> {
    let mut paths = Vec::new();
    if !matches!(item, Item::Use(_) | Item::Mod(_)) {
        collect_paths(item.to_token_stream(), &mut paths);
    }
    paths
}

fn collect_paths(tokens: TokenStream, paths: &mut Vec<NamePath>) {
    let mut path = NamePath::new();
    let mut colon_count = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colon_count != 2 {
                    paths.extend((path.len() > 1).then(|| std::mem::take(&mut path)));
                    path.clear();
                }
                path.push(ident.to_string());
                colon_count = 0;
                continue;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                colon_count += 1;
                continue;
            }
            TokenTree::Group(group) => collect_paths(group.stream(), paths),
            _ => {}
        }
        paths.extend((path.len() > 1).then(|| std::mem::take(&mut path)));
        path.clear();
        colon_count = 0;
    }
    paths.extend((path.len() > 1).then_some(path));
}

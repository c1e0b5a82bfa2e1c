//! The paths that a file names: in `use` lines, in code, and inside of macro calls.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    File, Item, ItemMod, ItemUse, Macro, Path, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::modules::{ModulePath, for_tests};

/// Returns the paths of its own crate that a file names, from the root of the crate.
///
/// Paths to other crates are left out, and so is code that only tests compile.
pub(crate) fn named(file: &File, module: &[String]) -> Vec<ModulePath> {
    let children = file.items.iter().filter_map(|item| match item {
        Item::Mod(declared) => Some(declared.ident.to_string()),
        _ => None,
    });
    let mut names = Names { module: module.to_vec(), children: children.collect(), found: Vec::new() };
    names.visit_file(file);
    names.found
}

struct Names {
    /// The module whose code is being read: that of the file, or one written out within it.
    module: ModulePath,
    /// Modules that the file declares: a path may start with one.
    children: Vec<String>,
    found: Vec<ModulePath>,
}

impl Names {
    fn add(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        let mut whole: ModulePath = match first.as_str() {
            "crate" => vec![self.module[0].clone()],
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            child if path.len() > 1 && self.children.iter().any(|known| known == child) => {
                [self.module.clone(), vec![child.to_owned()]].concat()
            }
            _ => return,
        };
        for name in &path[1..] {
            if name == "super" {
                whole.pop();
            } else {
                whole.push(name.clone());
            }
        }
        self.found.push(whole);
    }

    fn add_tree(&mut self, before: &mut ModulePath, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_tree(before, &path.tree);
                before.pop();
            }
            UseTree::Name(name) if name.ident == "self" => self.add(before),
            UseTree::Name(name) => self.add(&[before.clone(), vec![name.ident.to_string()]].concat()),
            UseTree::Rename(rename) => self.add(&[before.clone(), vec![rename.ident.to_string()]].concat()),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(before, tree);
                }
            }
        }
    }

    /// Reads `a::b::c` out of the tokens of a macro call, which have no syntax of their own.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.add(&path);
                        path.clear();
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.add(&path);
                    path.clear();
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add(&path);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: ModulePath = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.add(&names);
        }
        visit::visit_path(self, path);
    }

    /// `pub(in crate::a)` says who may import an item; it imports nothing.
    fn visit_visibility(&mut self, _visibility: &'ast Visibility) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.add_tokens(call.tokens.clone());
    }
}

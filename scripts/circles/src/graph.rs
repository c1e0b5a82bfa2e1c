//! Files as points, imports as arrows, and the circles among them.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use crate::modules::SourceFile;

/// Imports between the files of one crate.
pub(crate) struct Graph<'a> {
    files: &'a [SourceFile],
    /// For each file the files that it imports.
    imports: Vec<BTreeSet<usize>>,
}

/// Files of different folders that reach each other through imports.
#[derive(Debug)]
pub(crate) struct Circle {
    /// Imports within the circle: importing file, imported file.
    pub(crate) arrows: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(files: &'a [SourceFile]) -> Self {
        let by_module: HashMap<&[String], usize> =
            files.iter().enumerate().map(|(at, file)| (file.module.as_slice(), at)).collect();
        let imports = files.iter().enumerate().map(|(at, file)| {
            let owners = file.named.iter().filter_map(|named| owner(&by_module, named));
            owners.filter(|owner| *owner != at).collect()
        });
        Self { files, imports: imports.collect() }
    }

    /// Returns the circles whose files do not all lie in one folder.
    pub(crate) fn circles(&self) -> Vec<Circle> {
        let reached: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|from| self.reached(from)).collect();
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut circles = Vec::new();
        for start in 0..self.files.len() {
            if seen.contains(&start) || !reached[start].contains(&start) {
                continue;
            }
            let members: BTreeSet<usize> =
                reached[start].iter().copied().filter(|file| reached[*file].contains(&start)).collect();
            seen.extend(members.iter().copied());
            if !self.within_one_folder(&members) {
                circles.push(self.circle(&members));
            }
        }
        circles
    }

    /// Returns the files that one file imports, and those that these import, and so on.
    fn reached(&self, from: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            open.extend(self.imports[file].iter().filter(|next| reached.insert(**next)));
        }
        reached
    }

    /// Returns true if one folder has all the files. `a.rs` counts to its own folder and to `a/`.
    fn within_one_folder(&self, members: &BTreeSet<usize>) -> bool {
        let folders = |file: &usize| {
            let path = &self.files[*file].path;
            [path.parent().map(Path::to_owned), Some(path.with_extension(""))]
        };
        let Some(first) = members.first() else { return true };
        folders(first).iter().any(|folder| members.iter().all(|file| folders(file).contains(folder)))
    }

    fn circle(&self, members: &BTreeSet<usize>) -> Circle {
        let arrows = members.iter().flat_map(|from| {
            let inside = self.imports[*from].iter().filter(|to| members.contains(to));
            inside.map(|to| (self.files[*from].path.clone(), self.files[*to].path.clone()))
        });
        Circle { arrows: arrows.collect() }
    }
}

/// Returns the file of the deepest module that a path goes through.
fn owner(by_module: &HashMap<&[String], usize>, named: &[String]) -> Option<usize> {
    (1..=named.len()).rev().find_map(|length| by_module.get(&named[..length]).copied())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::modules;

    fn circles(sources: &[(&str, &str)]) -> Vec<Circle> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in sources {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Graph::new(&modules::read(folder.path()).unwrap()).circles()
    }

    #[test]
    fn imports_in_one_direction_are_no_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod deep; pub struct A;"),
            ("a/deep.rs", "use super::A;"),
            ("b.rs", "use crate::a::A; use serde::Serialize;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn files_of_two_folders_that_import_each_other_are_a_circle() {
        for import in
            ["use crate::b::B;", "fn f(b: crate::b::B) {}", "fn f() { panic!(\"{}\", crate::b::B) }", "use super::b;"]
        {
            let found = circles(&[
                ("lib.rs", "mod a; mod b;"),
                ("a/mod.rs", import),
                ("b/mod.rs", "mod inner; pub use inner::B;"),
                ("b/inner.rs", "use {std::fmt, crate::{a::A, id::Id}};"),
            ]);
            assert_eq!(found.len(), 1, "{import}");
            assert_eq!(found[0].arrows.len(), 3, "{found:?}");
        }
    }

    #[test]
    fn a_circle_within_one_folder_is_allowed() {
        let found = circles(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod left; pub use left::Left;"),
            ("a/left.rs", "use super::Left; mod below;"),
            ("a/left/below.rs", "use super::Left;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn visibility_is_no_import() {
        let found = circles(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod deep; use deep::inner::A;"),
            ("a/deep/mod.rs", "pub(in crate::a) mod inner;"),
            ("a/deep/inner.rs", "pub(in crate::a) struct A;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn code_for_tests_does_not_count() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "#[cfg(test)] mod tests { use crate::b::B; } #[cfg(test)] use crate::b::B;"),
            ("b/mod.rs", "use crate::a::A; #[cfg(test)] mod tests;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}

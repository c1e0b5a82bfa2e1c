//! A tree of path patterns, a level for each segment.
//!
//! In each segment a literal goes before a parameter, and both go before a pattern that ends there
//! and serves everything below. What the caller does not accept is passed over for the next.

use std::collections::HashMap;

/// The patterns that begin with the segments above, each with a value.
#[derive(Debug)]
pub(super) struct Node<T> {
    literals: HashMap<Box<[u8]>, Node<T>>,
    parameter: Option<Box<Node<T>>>,
    /// Of the pattern that ends here.
    exact: Option<T>,
    /// Of the pattern that serves everything from here on.
    below: Option<T>,
}

/// One segment of a pattern in the tree.
pub(super) enum Step<'a> {
    Literal(&'a [u8]),
    Parameter,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), parameter: None, exact: None, below: None }
    }
}

impl<T> Node<T> {
    /// The place for the value of a pattern.
    pub(super) fn place<'s>(&mut self, steps: impl Iterator<Item = Step<'s>>, is_below: bool) -> &mut Option<T> {
        let mut node = self;
        for step in steps {
            node = match step {
                Step::Literal(text) => node.literals.entry(text.into()).or_default(),
                Step::Parameter => node.parameter.get_or_insert_default(),
            };
        }
        if is_below { &mut node.below } else { &mut node.exact }
    }

    /// The result of `accept` for the value of the most specific pattern that serves the path and that
    /// it accepts. A slash at the end of the path makes no difference.
    pub(super) fn find<'a, R>(&'a self, path: &[u8], accept: &mut impl FnMut(&'a T) -> Option<R>) -> Option<R> {
        let below_root = path.strip_prefix(b"/").filter(|rest| !rest.is_empty());
        self.find_below(below_root.map(|rest| rest.strip_suffix(b"/").unwrap_or(rest)), accept)
    }

    /// `rest` is the path below this node; none if it ends here.
    fn find_below<'a, R>(&'a self, rest: Option<&[u8]>, accept: &mut impl FnMut(&'a T) -> Option<R>) -> Option<R> {
        let Some(rest) = rest else {
            return self.exact.iter().chain(&self.below).find_map(accept);
        };
        let slash = memchr::memchr(b'/', rest);
        let (segment, after) = slash.map_or((rest, None), |slash| (&rest[..slash], Some(&rest[slash + 1..])));
        if let Some(literal) = self.literals.get(segment)
            && let Some(found) = literal.find_below(after, accept)
        {
            return Some(found);
        }
        if let Some(parameter) = self.parameter.as_ref().filter(|_| !segment.is_empty())
            && let Some(found) = parameter.find_below(after, accept)
        {
            return Some(found);
        }
        self.below.as_ref().and_then(accept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(patterns: &[&'static str]) -> Node<&'static str> {
        let mut root = Node::default();
        for pattern in patterns {
            let (path, is_below) = pattern.strip_suffix("/*").map_or((*pattern, false), |path| (path, true));
            let steps = path.split('/').skip(1).filter(|_| path != "/");
            let steps = steps.map(|step| if step == "?" { Step::Parameter } else { Step::Literal(step.as_bytes()) });
            *root.place(steps, is_below) = Some(*pattern);
        }
        root
    }

    #[test]
    fn literal_goes_before_parameter_and_parameter_before_what_is_below() {
        let root = tree(&["/*", "/", "/a", "/a/*", "/a/?", "/a/b", "/?/b/c", "/a/?/d/*"]);
        let cases = [
            ("/", "/"),
            ("/x", "/*"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a//", "/a/*"),
            ("//", "/*"),
            ("/a/x", "/a/?"),
            ("/a/b", "/a/b"),
            ("/a/b/c", "/a/*"),
            ("/x/b/c", "/?/b/c"),
            ("/a/x/d", "/a/?/d/*"),
            ("/a/b/d/e", "/a/?/d/*"),
            ("/a//d", "/a/*"),
            ("/a/x/", "/a/?"),
        ];
        for (path, pattern) in cases {
            let found = root.find(path.as_bytes(), &mut |value| Some(*value));
            assert_eq!(found, Some(pattern), "{path}");
        }
    }

    #[test]
    fn value_that_is_not_accepted_is_passed_over() {
        let root = tree(&["/a", "/?", "/*"]);
        let without =
            |not: &'static [&str]| root.find(b"/a", &mut |value| Some(*value).filter(|value| !not.contains(value)));
        assert_eq!(without(&["/a"]), Some("/?"));
        assert_eq!(without(&["/a", "/?"]), Some("/*"));
        assert_eq!(without(&["/a", "/?", "/*"]), None);
    }
}

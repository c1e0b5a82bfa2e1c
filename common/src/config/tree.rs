//! A YAML document as a tree whose nodes know their places.

use std::collections::{HashMap, HashSet, hash_map};

use super::fault::Place;

/// Index of a node in its tree.
pub(super) type NodeId = usize;

/// One step of the way from the root to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the value under a key.
    Key(String),
    /// To an item of a list.
    Item(usize),
}

/// The way of these steps.
macro_rules! way {
    ($($step:expr),+) => { vec![$($crate::config::Step::from($step)),+] };
}
pub(crate) use way;

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Item(index)
    }
}

/// A document.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    pub(super) root: Option<NodeId>,
    /// Nodes that cannot be used; they count as absent.
    pub(super) removed: HashSet<NodeId>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<NodeId>),
    Map(Map),
    /// Stands for a missing setting, whatever its type, so that further missing settings can be
    /// reported.
    Supplied,
}

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Written without quotes: it may be a number, a switch or nothing.
    pub(super) is_plain: bool,
}

/// The entries of a map in the order of the file. Each key stands once.
#[derive(Debug, Default)]
pub(super) struct Map {
    entries: Vec<Entry>,
    /// Index of each key's entry: a file may name ten thousand upstreams.
    by_key: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: NodeId,
}

impl Map {
    /// The entry with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.by_key.get(key).map(|index| &self.entries[*index])
    }

    /// Adds an entry, unless its key has one already: then that one is the error.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<(), &Entry> {
        match self.by_key.entry(entry.key.clone()) {
            hash_map::Entry::Occupied(first) => Err(&self.entries[*first.get()]),
            hash_map::Entry::Vacant(place) => {
                place.insert(self.entries.len());
                self.entries.push(entry);
                Ok(())
            }
        }
    }
}

impl Tree {
    pub(super) fn push(&mut self, place: Place, content: Content) -> NodeId {
        self.nodes.push(Node { place, content });
        self.nodes.len() - 1
    }

    /// Adds something to a map for a setting that is missing in it. False if that did not help
    /// before.
    pub(super) fn supply(&mut self, map: NodeId, key: &str) -> bool {
        let place = self.nodes[map].place;
        let value = self.push(place, Content::Supplied);
        let entry = Entry { key: key.to_owned(), key_place: place, value };
        match &mut self.nodes[map].content {
            Content::Map(map) => map.insert(entry).is_ok(),
            _ => false,
        }
    }

    /// Removes every map that something was added to. Returns true if there was one that was not
    /// removed yet.
    pub(super) fn remove_supplied(&mut self) -> bool {
        let is_supplied = |id: &NodeId| matches!(self.nodes[*id].content, Content::Supplied);
        let holds = |node: &Node| matches!(&node.content, Content::Map(map) if map.entries.iter().any(|entry| is_supplied(&entry.value)));
        let candidates = self.nodes.iter().enumerate().filter(|(id, _)| !self.removed.contains(id));
        let all: Vec<NodeId> = candidates.filter(|(_, node)| holds(node)).map(|(id, _)| id).collect();
        self.removed.extend(&all);
        !all.is_empty()
    }

    pub(super) fn root(&self) -> Option<NodeId> {
        self.root.filter(|root| !self.removed.contains(root))
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn entries(&self, id: NodeId) -> impl Iterator<Item = &Entry> {
        let entries = match &self.nodes[id].content {
            Content::Map(map) => map.entries.as_slice(),
            _ => &[],
        };
        entries.iter().filter(|entry| !self.removed.contains(&entry.value))
    }

    pub(super) fn items(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let items = match &self.nodes[id].content {
            Content::List(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().copied().filter(|item| !self.removed.contains(item))
    }

    /// The entry of a map under a key.
    fn entry(&self, id: NodeId, key: &str) -> Option<&Entry> {
        match &self.nodes[id].content {
            Content::Map(map) => map.get(key).filter(|entry| !self.removed.contains(&entry.value)),
            _ => None,
        }
    }

    /// The item at an index. A long list is not counted through for each of its items, as long as all
    /// of them can be used.
    fn item(&self, id: NodeId, index: usize) -> Option<NodeId> {
        match &self.nodes[id].content {
            Content::List(items) if self.removed.is_empty() => items.get(index).copied(),
            _ => self.items(id).nth(index),
        }
    }

    /// The node at the end of a way, and the place by which it is told: its own if it is a scalar,
    /// else that of its key.
    pub(super) fn walk(&self, way: &[Step]) -> Option<(NodeId, Place)> {
        let root = self.root()?;
        way.iter().try_fold((root, self.nodes[root].place), |(id, _), step| match step {
            Step::Key(key) => self.entry(id, key).map(|entry| self.told(entry)),
            Step::Item(index) => self.item(id, *index).map(|item| (item, self.nodes[item].place)),
        })
    }

    fn told(&self, entry: &Entry) -> (NodeId, Place) {
        let node = &self.nodes[entry.value];
        let is_told = matches!(&node.content, Content::Scalar(scalar) if !scalar.text.is_empty());
        (entry.value, if is_told { node.place } else { entry.key_place })
    }

    /// Returns true if the node stands for something that is missing.
    pub(super) fn is_supplied(&self, id: NodeId) -> bool {
        matches!(self.nodes[id].content, Content::Supplied)
    }

    /// The place by which the value of an entry is told.
    pub(super) fn told_place(&self, entry: &Entry) -> Place {
        self.told(entry).1
    }

    /// Returns true if the value under `key` of a map cannot be used.
    pub(super) fn removed_key(&self, id: NodeId, key: &str) -> bool {
        let Content::Map(map) = &self.nodes[id].content else { return false };
        map.get(key).is_some_and(|entry| self.removed.contains(&entry.value))
    }

    /// The keys of the map at the end of a way, also those whose values cannot be used.
    pub fn keys(&self, way: &[Step]) -> Vec<&str> {
        match self.walk(way).map(|(id, _)| &self.nodes[id].content) {
            Some(Content::Map(map)) => map.entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns true if something below the end of a way cannot be used.
    pub fn has_removed(&self, way: &[Step]) -> bool {
        self.walk(way).is_none_or(|(id, _)| {
            let mut waiting = vec![id];
            while let Some(id) = waiting.pop() {
                if self.removed.contains(&id) {
                    return true;
                }
                match &self.nodes[id].content {
                    Content::Scalar(_) | Content::Supplied => {}
                    Content::List(items) => waiting.extend(items),
                    Content::Map(map) => waiting.extend(map.entries.iter().map(|entry| entry.value)),
                }
            }
            false
        })
    }

    /// The place of the setting `field` in the map, list or scalar at the end of `way`, or anywhere
    /// below it; one that is set to `value` goes before others. The place of the way itself if
    /// there is none.
    pub fn place(&self, way: &[Step], field: &str, value: Option<&str>) -> Place {
        let mut end = way.len();
        let (start, own) = loop {
            match self.walk(&way[..end]) {
                Some(found) => break found,
                None if end == 0 => return Place::START,
                None => end -= 1,
            }
        };
        let holds = |id: NodeId| match &self.nodes[id].content {
            Content::Scalar(scalar) => value.is_some_and(|value| scalar.text == value),
            _ => false,
        };
        let (mut waiting, mut by_key) = (vec![start], None);
        while let Some(id) = waiting.pop() {
            if let Some(entry) = self.entry(id, field) {
                let (value, place) = self.told(entry);
                if holds(value) {
                    return place;
                }
                if let Some(item) = self.items(value).find(|item| holds(*item)) {
                    return self.nodes[item].place;
                }
                by_key = by_key.or(Some(place));
            }
            let mut below: Vec<NodeId> = self.entries(id).map(|entry| entry.value).chain(self.items(id)).collect();
            below.reverse();
            waiting.extend(below);
        }
        by_key.unwrap_or(own)
    }
}

//! A YAML document as a tree whose nodes know their places.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::fault::{Fault, Place, quoted};

/// Deepest nesting; no configuration comes near.
const DEPTH_MAX: usize = 64;

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
    root: Option<NodeId>,
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
    Map(Vec<Entry>),
    /// Stands for a setting that is missing, so that what else is missing can be told: whatever is asked for.
    Supplied,
}

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Written without quotes: it may be a number, a switch or nothing.
    pub(super) is_plain: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: NodeId,
}

/// A list or a map that is not complete yet.
enum Open {
    List { place: Place, anchor: usize, items: Vec<NodeId> },
    Map { place: Place, anchor: usize, entries: Vec<Entry>, key: Option<(String, Place)> },
}

/// Builds a tree from the parser's events.
#[derive(Default)]
struct Builder {
    tree: Tree,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    documents: usize,
    faults: Vec<Fault>,
}

impl Tree {
    /// The tree of a document, and what is wrong with its form. Keys that stand twice count once.
    pub fn parse(text: &str) -> (Self, Vec<Fault>) {
        let mut builder = Builder::default();
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => {
                    if !builder.take(event, span) {
                        break;
                    }
                }
                Err(error) => {
                    let marker = error.marker();
                    let place = Place { line: marker.line().max(1), column: marker.col() + 1, length: 1 };
                    builder.faults.push(place.fault(malformed(error.info(), text, place)));
                    builder.tree.root = None;
                    break;
                }
            }
        }
        let Builder { mut tree, mut faults, .. } = builder;
        if tree.root.is_none() && faults.is_empty() {
            let nothing = Scalar { text: String::new(), is_plain: true };
            tree.root = Some(tree.push(Place::START, Content::Scalar(nothing)));
        }
        faults.sort();
        (tree, faults)
    }

    fn push(&mut self, place: Place, content: Content) -> NodeId {
        self.nodes.push(Node { place, content });
        self.nodes.len() - 1
    }

    /// Adds something to a map for a setting that is missing in it. False if that did not help before.
    pub(super) fn supply(&mut self, map: NodeId, key: &str) -> bool {
        let place = self.nodes[map].place;
        let value = self.push(place, Content::Supplied);
        let entry = Entry { key: key.to_owned(), key_place: place, value };
        match &mut self.nodes[map].content {
            Content::Map(entries) if entries.iter().all(|entry| entry.key != key) => entries.push(entry),
            _ => return false,
        }
        true
    }

    /// Removes every map that something was added to; whether there was one that was not removed yet.
    pub(super) fn remove_supplied(&mut self) -> bool {
        let is_supplied = |id: &NodeId| matches!(self.nodes[*id].content, Content::Supplied);
        let holds = |node: &Node| matches!(&node.content, Content::Map(entries) if entries.iter().any(|entry| is_supplied(&entry.value)));
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
            Content::Map(entries) => entries.as_slice(),
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

    /// The node at the end of a way, and the place by which it is told: its own if it is a scalar, else that of its key.
    pub(super) fn walk(&self, way: &[Step]) -> Option<(NodeId, Place)> {
        let root = self.root()?;
        way.iter().try_fold((root, self.nodes[root].place), |(id, _), step| match step {
            Step::Key(key) => self.entries(id).find(|entry| entry.key == *key).map(|entry| self.told(entry)),
            Step::Item(index) => self.items(id).nth(*index).map(|item| (item, self.nodes[item].place)),
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
        let Content::Map(entries) = &self.nodes[id].content else { return false };
        entries.iter().any(|entry| entry.key == key && self.removed.contains(&entry.value))
    }

    /// The keys of the map at the end of a way, also those whose values cannot be used.
    pub fn keys(&self, way: &[Step]) -> Vec<&str> {
        match self.walk(way).map(|(id, _)| &self.nodes[id].content) {
            Some(Content::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
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
                    Content::Map(entries) => waiting.extend(entries.iter().map(|entry| entry.value)),
                }
            }
            false
        })
    }

    /// The place of the setting `field` in the map, list or scalar at the end of `way`, or anywhere below it; one that is
    /// set to `value` goes before others. The place of the way itself if there is none.
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
            for entry in self.entries(id).filter(|entry| entry.key == field) {
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

impl Builder {
    /// Takes an event; false once nothing more can come of the rest.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        let place = place(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let reason = "a second document begins here: a configuration is one document, remove this `---` \
                                  and what follows";
                    self.faults.push(Place { length: 3, ..place }.fault(reason));
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                self.check_placeholder(&text, style, place);
                let is_plain = style == ScalarStyle::Plain;
                if self.is_key_next() {
                    self.key(text, place);
                } else {
                    let scalar = Scalar { text: text.into_owned(), is_plain };
                    self.add(place, anchor, Content::Scalar(scalar));
                }
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) if self.is_key_next() => {
                let _ = anchor;
                self.faults.push(place.fault("a list or map cannot be the name of a setting"));
                return false;
            }
            Event::SequenceStart(anchor, _) => self.open.push(Open::List { place, anchor, items: Vec::new() }),
            Event::MappingStart(anchor, _) => {
                self.open.push(Open::Map { place, anchor, entries: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).copied() {
                Some(id) if !self.is_key_next() => self.attach(id),
                _ => {
                    self.faults.push(place.fault("this alias stands for nothing: write the value itself"));
                    return false;
                }
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if self.open.len() > DEPTH_MAX {
            self.faults.push(place.fault("nested too deeply"));
            return false;
        }
        true
    }

    fn is_key_next(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    fn key(&mut self, text: Cow<'_, str>, place: Place) {
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some((text.into_owned(), place));
        }
    }

    fn add(&mut self, place: Place, anchor: usize, content: Content) {
        let id = self.tree.push(place, content);
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id);
    }

    fn attach(&mut self, id: NodeId) {
        match self.open.last_mut() {
            None => self.tree.root = Some(id),
            Some(Open::List { items, .. }) => items.push(id),
            Some(Open::Map { entries, key, .. }) => {
                let Some((key, key_place)) = key.take() else { return };
                match entries.iter().find(|entry| entry.key == key) {
                    Some(first) => {
                        let line = first.key_place.line;
                        let reason = format!("{} is defined twice: it is in line {line} already", quoted(&key));
                        self.faults.push(key_place.fault(reason));
                    }
                    None => entries.push(Entry { key, key_place, value: id }),
                }
            }
        }
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Open::List { place, anchor, items }) => self.add(place, anchor, Content::List(items)),
            Some(Open::Map { place, anchor, entries, .. }) => self.add(place, anchor, Content::Map(entries)),
            None => {}
        }
    }

    /// `${VAR}` looks as if it were replaced by the environment's value, which it is not.
    fn check_placeholder(&mut self, text: &str, style: ScalarStyle, place: Place) {
        if style != ScalarStyle::SingleQuoted
            && let Some(name) = placeholder(text)
        {
            let reason = format!(
                "{} is not replaced: variables of the environment are not expanded in this file. Write the value itself \
                 (in single quotes, it is taken as it stands)",
                quoted(name)
            );
            self.faults.push(place.fault(reason));
        }
    }
}

/// `${NAME}` or `${NAME:-default}` in a text.
fn placeholder(text: &str) -> Option<&str> {
    text.match_indices("${").find_map(|(start, _)| {
        let end = start + text[start..].find('}')?;
        let first = text[start + 2..end].chars().next()?;
        (first.is_ascii_alphabetic() || first == '_').then(|| &text[start..=end])
    })
}

fn place(span: Span) -> Place {
    let one_line = span.start.line() == span.end.line();
    let length = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Place { line: span.start.line().max(1), column: span.start.col() + 1, length: length.max(1) }
}

/// What a text that is no YAML is refused with.
fn malformed(info: &str, text: &str, place: Place) -> String {
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let hint = if placeholder(line).is_some() {
        "; variables of the environment, as in `${NAME}`, are not expanded in this file"
    } else if line.starts_with('\t') || line.trim_start_matches(' ').starts_with('\t') {
        "; indent with spaces, not with tabs"
    } else {
        ""
    };
    format!("this is not YAML: {info}{hint}")
}

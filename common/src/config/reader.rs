//! From a tree to a typed value, noting every fault on the way.
//!
//! A visitor of serde ends at its first error. So a value that cannot be used is noted and removed
//! from the tree, and the rest is read again, until everything still there can be used. A setting
//! that is missing only because it was removed is not reported. Unknown settings are noted and
//! passed over, without another round.

use std::cell::{Cell, RefCell};

use serde::de::{Deserializer, Error as _, Visitor};

use super::{
    access::{Entries, Items, Variant},
    fault::{Fault, quoted},
    tree::{Content, Entry, NodeId, Tree},
    unusable::{Unusable, unknown},
    value::Value,
};

/// Most rounds, which is the most faults that each take a round.
const ROUNDS_MAX: usize = 200;

/// Most nodes that are read in one round, aliases counted each time.
const NODES_MAX: usize = 1_000_000;

/// Returns the value of the tree, if its usable part is enough for one. Faults are added to
/// `faults`.
pub(super) fn read<T: serde::de::DeserializeOwned>(tree: &mut Tree, faults: &mut Vec<Fault>) -> Option<T> {
    for _ in 0..ROUNDS_MAX {
        let root = tree.root()?;
        let notes = RefCell::default();
        let round = Round { tree, notes: &notes, budget: &Cell::new(NODES_MAX) };
        let outcome = T::deserialize(Reader { round, node: root });
        let error = match outcome {
            Ok(value) => {
                faults.extend(notes.into_inner());
                if !tree.remove_supplied() {
                    return Some(value);
                }
                continue;
            }
            Err(error) => error,
        };
        let at = error.at.unwrap_or(root);
        let is_removed = error.missing.is_some_and(|field| tree.removed_key(at, field));
        if !(is_removed || tree.is_supplied(at)) {
            let place = error.place.unwrap_or(tree.node(at).place);
            let field = error.field.filter(|field| !error.reason.contains(&format!("`{field}`")));
            let prefix = field.map_or_else(String::new, |field| format!("{}: ", quoted(&field)));
            faults.push(place.fault(format!("{prefix}{}", error.reason)));
        }
        // Unknown settings of this round are found again in the next, or are told now if it is the
        // last.
        faults.extend(notes.into_inner());
        if error.missing.is_some_and(|field| !is_removed && tree.supply(at, field)) {
            continue;
        }
        tree.removed.insert(at);
        if at == root {
            return None;
        }
    }
    None
}

/// State that the readers of one round share.
#[derive(Clone, Copy)]
pub(super) struct Round<'a> {
    pub(super) tree: &'a Tree,
    notes: &'a RefCell<Vec<Fault>>,
    /// Nodes that may still be read in this round.
    budget: &'a Cell<usize>,
}

/// Reads one node.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) round: Round<'a>,
    pub(super) node: NodeId,
}

impl<'a> Reader<'a> {
    fn content(self) -> Result<&'a Content, Unusable> {
        let budget = self.round.budget.get().checked_sub(1);
        self.round.budget.set(budget.ok_or_else(|| Unusable::new("the file is too large".into()))?);
        Ok(&self.round.tree.node(self.node).content)
    }

    fn wrong(self, wanted: &str) -> Unusable {
        let found = match &self.round.tree.node(self.node).content {
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) | Content::Supplied => "a group of settings".to_owned(),
            Content::Scalar(scalar) => match Value::of(scalar) {
                Some(Value::Nothing) => "nothing".to_owned(),
                _ => quoted(&scalar.text),
            },
        };
        Unusable::new(format!("{found} is not {wanted}")).at(self.node)
    }

    fn whole(self, least: i128, most: i128) -> Result<i128, Unusable> {
        let wanted = match (least, most) {
            (0, most) if most > i128::from(u32::MAX) => "a whole number, 0 or more".to_owned(),
            (_, most) if most > i128::from(i32::MAX) => "a whole number".to_owned(),
            _ => format!("a whole number from {least} to {most}"),
        };
        match self.content()? {
            Content::Scalar(scalar) => match Value::of(scalar) {
                Some(Value::Whole(number)) if (least..=most).contains(&number) => Ok(number),
                _ => Err(self.wrong(&wanted)),
            },
            Content::Supplied => Ok(1),
            _ => Err(self.wrong(&wanted)),
        }
    }

    fn text(self) -> Result<&'a str, Unusable> {
        match self.content()? {
            Content::Scalar(scalar) if !matches!(Value::of(scalar), Some(Value::Nothing)) => Ok(&scalar.text),
            Content::Supplied => Ok("supplied"),
            _ => Err(self.wrong("a text")),
        }
    }

    fn is_nothing(self) -> bool {
        match &self.round.tree.node(self.node).content {
            Content::Scalar(scalar) => matches!(Value::of(scalar), Some(Value::Nothing)),
            _ => false,
        }
    }

    fn read_list<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Unusable> {
        let items: Vec<NodeId> = self.round.tree.items(self.node).collect();
        visitor.visit_seq(Items { round: self.round, items: items.into_iter() })
    }

    fn read_map<V: Visitor<'a>>(self, visitor: V, known: Option<&[&str]>) -> Result<V::Value, Unusable> {
        let mut entries: Vec<&Entry> = self.round.tree.entries(self.node).collect();
        if let Some(known) = known {
            entries.retain(|entry| {
                let is_known = known.contains(&entry.key.as_str());
                if !is_known {
                    self.round.notes.borrow_mut().push(entry.key_place.fault(unknown(&entry.key, known)));
                }
                is_known
            });
        }
        visitor.visit_map(Entries { round: self.round, rest: entries.into_iter(), value: None })
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
            let number = self.whole(<$number>::MIN.into(), <$number>::MAX.into())?;
            // It was compared with the type's own bounds.
            let number = <$number>::try_from(number).map_err(Unusable::custom)?;
            visitor.$visit(number).map_err(|error: Unusable| error.at(self.node))
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Unusable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        let scalar = match self.content()? {
            Content::List(_) => return self.read_list(visitor),
            Content::Map(_) => return self.read_map(visitor, None),
            Content::Supplied => return visitor.visit_u64(1),
            Content::Scalar(scalar) => scalar,
        };
        match Value::of(scalar) {
            None => visitor.visit_str(&scalar.text),
            Some(Value::Nothing) => visitor.visit_unit(),
            Some(Value::Switch(switch)) => visitor.visit_bool(switch),
            Some(Value::Fraction(number)) => visitor.visit_f64(number),
            Some(Value::Whole(number)) => match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_f64(number as f64),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        match self.content()? {
            Content::Scalar(scalar) => match Value::of(scalar) {
                Some(Value::Switch(switch)) => visitor.visit_bool(switch),
                _ => Err(self.wrong("`true` or `false`")),
            },
            Content::Supplied => visitor.visit_bool(false),
            _ => Err(self.wrong("`true` or `false`")),
        }
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        match self.content()? {
            Content::Scalar(scalar) => match Value::of(scalar) {
                Some(Value::Fraction(number)) => visitor.visit_f64(number),
                Some(Value::Whole(number)) => visitor.visit_f64(number as f64),
                _ => Err(self.wrong("a number")),
            },
            _ => Err(self.wrong("a number")),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        if self.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        if self.is_nothing() { visitor.visit_unit() } else { Err(self.wrong("nothing")) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unusable> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        match self.content()? {
            Content::List(_) | Content::Supplied => self.read_list(visitor),
            _ => Err(self.wrong("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        match self.content()? {
            Content::Map(_) | Content::Supplied => self.read_map(visitor, None),
            _ => Err(self.wrong("a group of settings")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusable> {
        match self.content()? {
            Content::Map(_) | Content::Supplied => self.read_map(visitor, Some(fields)),
            // A section whose settings are all commented out.
            Content::Scalar(_) if self.is_nothing() => self.read_map(visitor, Some(fields)),
            _ => Err(self.wrong("a group of settings")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unusable> {
        let name = self.text()?;
        visitor.visit_enum(Variant(name))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusable> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf unit_struct tuple tuple_struct }
}

//! From a tree to a typed value, noting every fault on the way.
//!
//! A visitor of serde ends at its first error. So a value that cannot be used is noted and removed from the tree, and
//! the rest is read again, until all that is left can be used. What is missing only because it was removed is not told.
//! Unknown settings are noted and passed over, without another round.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Display},
};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor, value::StrDeserializer,
};

use super::{
    fault::{Fault, Place, did_you_mean, quoted},
    tree::{Content, Entry, NodeId, Scalar, Tree},
    words,
};

/// Most rounds: faults that each take one.
const ROUNDS_MAX: usize = 200;

/// Most nodes that are read in one round, aliases counted each time.
const NODES_MAX: usize = 200_000;

/// Most known names that a fault lists.
const LISTED_MAX: usize = 30;

/// The value of the whole tree, if what can be used of it is enough for one. Faults are added to `faults`.
pub(super) fn read<T: serde::de::DeserializeOwned>(tree: &mut Tree, faults: &mut Vec<Fault>) -> Option<T> {
    for _ in 0..ROUNDS_MAX {
        let root = tree.root()?;
        let notes = RefCell::default();
        let round = Round { tree, notes: &notes, left: &Cell::new(NODES_MAX) };
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
        // Unknown settings of this round are found again in the next, or are told now if it is the last.
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

/// What the readers of one round share.
#[derive(Clone, Copy)]
struct Round<'a> {
    tree: &'a Tree,
    notes: &'a RefCell<Vec<Fault>>,
    left: &'a Cell<usize>,
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'a> {
    round: Round<'a>,
    node: NodeId,
}

/// Why a node cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    reason: String,
    /// The node, once it is known.
    at: Option<NodeId>,
    /// The place to tell, if it is not the node's.
    place: Option<Place>,
    /// The key that the node stands under.
    field: Option<String>,
    /// The setting that is missing in it, if that is the reason.
    missing: Option<&'static str>,
}

impl Unusable {
    fn new(reason: String) -> Self {
        Self { reason, at: None, place: None, field: None, missing: None }
    }

    fn at(mut self, node: NodeId) -> Self {
        self.at = self.at.or(Some(node));
        self
    }

    /// Tells the entry whose value is unusable.
    fn under(mut self, entry: &Entry, tree: &Tree) -> Self {
        if self.at.is_none() {
            self.at = Some(entry.value);
        }
        if self.at == Some(entry.value) && self.place.is_none() {
            self.place = Some(tree.told_place(entry));
        }
        if self.field.is_none() {
            self.field = Some(entry.key.clone());
        }
        self
    }
}

impl std::error::Error for Unusable {}

impl Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl serde::de::Error for Unusable {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("{} is not {}", words::unexpected(&unexpected), words::expected(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "{} is not one of {}{}",
            quoted(variant),
            listed(expected),
            did_you_mean(variant, expected.iter().copied())
        ))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(unknown(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("`{field}` is missing here: it has no default")) }
    }
}

fn unknown(field: &str, known: &[&str]) -> String {
    let meant = did_you_mean(field, known.iter().copied());
    let known = if meant.is_empty() { format!("; known are {}", listed(known)) } else { meant };
    format!("{} is not a setting here{known}", quoted(field))
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > LISTED_MAX { ", .." } else { "" };
    shown.join(", ") + more
}

/// What a scalar without quotes is.
enum Value {
    Nothing,
    Switch(bool),
    Whole(i128),
    Fraction(f64),
}

impl Value {
    /// The value, unless it is a text.
    fn of(scalar: &Scalar) -> Option<Self> {
        if !scalar.is_plain {
            return None;
        }
        let text = scalar.text.as_str();
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Some(Self::Nothing),
            "true" | "True" | "TRUE" => return Some(Self::Switch(true)),
            "false" | "False" | "FALSE" => return Some(Self::Switch(false)),
            _ => {}
        }
        if let Some(number) = whole(text) {
            return Some(Self::Whole(number));
        }
        let is_number = text.bytes().any(|byte| byte.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        text.parse().ok().filter(|_| is_number).map(Self::Fraction)
    }
}

/// A whole number: decimal, or with `0x`, `0o` or `0b`. Digits after a 0 are a text, such as a telephone number.
fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some("0b") => (&digits[2..], 2),
        Some(start) if start.starts_with('0') => return None,
        _ => (digits, 10),
    };
    let sound = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let number = i128::from_str_radix(digits, radix).ok().filter(|_| sound)?;
    Some(sign * number)
}

impl<'a> Reader<'a> {
    fn content(self) -> Result<&'a Content, Unusable> {
        let left = self.round.left.get().checked_sub(1);
        self.round.left.set(left.ok_or_else(|| Unusable::new("the file is too large".into()))?);
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
        visitor.visit_map(Entries { round: self.round, left: entries.into_iter(), value: None })
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

struct Items<'a> {
    round: Round<'a>,
    items: std::vec::IntoIter<NodeId>,
}

impl<'a> SeqAccess<'a> for Items<'a> {
    type Error = Unusable;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Unusable> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader { round: self.round, node }).map(Some).map_err(|error| error.at(node))
    }
}

struct Entries<'a> {
    round: Round<'a>,
    left: std::vec::IntoIter<&'a Entry>,
    value: Option<&'a Entry>,
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = Unusable;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Unusable> {
        self.value = self.left.next();
        let Some(entry) = self.value else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Unusable> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|mut error| {
            // The key itself is wrong, not what stands under it.
            error.place = error.place.or(Some(entry.key_place));
            error.at(entry.value)
        })
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Unusable> {
        let entry = self.value.take().ok_or_else(|| Unusable::new("a value without a name".into()))?;
        seed.deserialize(Reader { round: self.round, node: entry.value })
            .map_err(|error| error.under(entry, self.round.tree))
    }
}

/// One of several words.
struct Variant<'a>(&'a str);

impl<'a> EnumAccess<'a> for Variant<'a> {
    type Error = Unusable;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<(S::Value, Self), Unusable> {
        let name: StrDeserializer<'_, Unusable> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'a> {
    type Error = Unusable;

    fn unit_variant(self) -> Result<(), Unusable> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'a>>(self, _seed: S) -> Result<S::Value, Unusable> {
        Err(Unusable::new(format!("{} takes no value here", quoted(self.0))))
    }

    fn tuple_variant<V: Visitor<'a>>(self, _length: usize, _visitor: V) -> Result<V::Value, Unusable> {
        Err(Unusable::new(format!("{} takes no value here", quoted(self.0))))
    }

    fn struct_variant<V: Visitor<'a>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Unusable> {
        Err(Unusable::new(format!("{} takes no value here", quoted(self.0))))
    }
}

//! Access to the items of a list, the entries of a map, and words that stand for the variants of an
//! enum.

use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::StrDeserializer,
};

use super::{
    fault::quoted,
    reader::{Reader, Round},
    tree::{Entry, NodeId},
    unusable::Unusable,
};

/// Items of a list.
pub(super) struct Items<'a> {
    pub(super) round: Round<'a>,
    pub(super) items: std::vec::IntoIter<NodeId>,
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

/// Entries of a map.
pub(super) struct Entries<'a> {
    pub(super) round: Round<'a>,
    pub(super) rest: std::vec::IntoIter<&'a Entry>,
    /// The entry whose key was read, until its value is.
    pub(super) value: Option<&'a Entry>,
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = Unusable;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Unusable> {
        self.value = self.rest.next();
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
pub(super) struct Variant<'a>(pub(super) &'a str);

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

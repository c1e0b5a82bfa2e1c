//! Words of the domain on the command line: help texts and completions list them, and they are the
//! same as in documents.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::{
    Serialize,
    de::{
        DeserializeOwned,
        value::{Error, StringDeserializer},
    },
};

/// A parser of one of these words.
pub(crate) fn one_of<T, const N: usize>(words: [&'static str; N]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| T::deserialize(StringDeserializer::<Error>::new(word)))
}

/// The word for a value in documents.
pub(crate) fn word_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
